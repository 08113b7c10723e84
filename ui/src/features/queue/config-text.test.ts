import { expect, test } from "vitest";
import { languageOf, readConfig, writeConfig } from "./config-text";

test("a configuration is read in both languages, with template variables bare or quoted", async () => {
  const wanted = { config: { cpus: "{{cpus}}", env: ["A=1"], nested: { n: 2 } } };
  expect(await readConfig('{"cpus": "{{cpus}}", "env": ["A=1"], "nested": {"n": 2}}')).toEqual(wanted);
  expect(await readConfig("cpus: {{cpus}}  # by the submitter\nenv:\n  - A=1\nnested:\n  n: 2\n")).toEqual(wanted);
  expect(await readConfig("cpus: '{{cpus}}'\nenv: [A=1]\nnested: {n: 2}")).toEqual(wanted);
  expect(await readConfig("")).toEqual({ config: {} });
});

test("what is neither says where", async () => {
  expect((await readConfig("a: [1\nb: 2")).error).toMatch(/not YAML.*line/);
  expect((await readConfig("{")).error).toMatch(/not JSON/);
  expect((await readConfig("- a\n- b")).error).toMatch(/object/);
  expect((await readConfig("just words")).error).toMatch(/object/);
  expect((await readConfig("a: 1\na: 2")).error).toMatch(/unique/);
});

test("written and read again it is the same", async () => {
  const config = { cpus: "{{cpus}}", text: "yes", list: [1, "2"], when: "2026-01-01" };
  for (const language of ["JSON", "YAML"] as const) expect(await readConfig(await writeConfig(config, language))).toEqual({ config });
  expect(languageOf(await writeConfig(config, "YAML"))).toBe("YAML");
});
