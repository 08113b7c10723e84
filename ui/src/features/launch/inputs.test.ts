import { describe, expect, test } from "vitest";
import { atPath, begin, configOf, fieldsOf, launchBody, launchCommand, layers, type LaunchSpec, partsOf, readEnv, readField, shellWords, wholeOf } from "./inputs";

const schema = {
  $defs: { Model: { type: "object", required: ["width"], properties: { width: { type: "integer", minimum: 1 }, act: { enum: ["relu", "tanh"], default: "relu" } } } },
  type: "object",
  required: ["lr"],
  properties: {
    lr: { type: "number", minimum: 0, maximum: 1, description: "rate" },
    seed: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
    model: { $ref: "#/$defs/Model", default: { width: 8 } },
    tags: { type: "array", items: { type: "string" }, default: ["a"] },
  },
};

describe("a form from a schema", () => {
  const fields = fieldsOf(schema);

  test("objects are flattened, references followed, optional is what it is optional of", () => {
    expect(fields.map(({ path, type, required, default: value }) => [path, type, required, value])).toEqual([
      ["lr", "number", true, undefined],
      ["seed", "integer", false, null],
      ["model.width", "integer", true, 8],
      ["model.act", "json", false, "relu"],
      ["tags", "json", false, ["a"]],
    ]);
    expect(fields[0]!.range).toBe("0 … 1");
    expect(fields[3]!.choices).toEqual(["relu", "tanh"]);
  });

  test("only what differs from the job's own is sent", () => {
    const typed = { lr: "0.5", seed: "", "model.width": "8", "model.act": "tanh", tags: '["a"]' };
    expect(configOf(fields, typed, false)).toEqual({ config: { lr: 0.5, model: { act: "tanh" } }, errors: {} });
    expect(configOf(fields, { ...typed, "model.width": "" }, false).errors).toEqual({});
  });

  test("of a schema everything is sent that the form shows: the script may have other values of its own", () => {
    const typed = { lr: "0.5", seed: "", "model.width": "8", "model.act": "tanh", tags: '["a"]' };
    expect(configOf(fields, typed, true)).toEqual({ config: { lr: 0.5, model: { width: 8, act: "tanh" }, tags: ["a"] }, errors: {} });
    expect(configOf(fields, { ...typed, "model.width": "" }, true).errors).toEqual({ "model.width": "is required" });
  });

  test("what is wrong is said by field", () => {
    const { errors } = configOf(fields, { lr: "", "model.width": "1.5", tags: "[" }, false);
    expect(errors).toEqual({ lr: "is required", "model.width": "must be a whole number", tags: "must be JSON: text needs quotes" });
    expect(readField(fields[3]!, "gelu").error).toBe("must be one of the choices");
  });

  test("a schema that refers to itself ends", () => {
    const deep = { $defs: { A: { type: "object", properties: { a: { $ref: "#/$defs/A" } } } }, $ref: "#/$defs/A" };
    expect(fieldsOf(deep).length).toBeLessThan(5);
  });
});

const spec: LaunchSpec = {
  job: "e/p/train:v1",
  entity: "e",
  queue: "gpu",
  project: "p",
  name: "try 1",
  priority: "high",
  config: { lr: 0.5, model: { act: "tanh" }, tag: "1" },
  templates: { gpus: 2 },
  entryPoint: "",
  args: `--name "a b" --n 1`,
  resources: { memory: "8g" },
  resource: "docker",
};

describe("a launch", () => {
  test("as a body", () => {
    expect(launchBody(spec)).toEqual({
      job: "e/p/train:v1",
      project: "p",
      name: "try 1",
      priority: "high",
      overrides: { run_config: spec.config, args: ["--name", "a b", "--n", "1"] },
      template_variables: { gpus: 2 },
      resource_args: { docker: { memory: "8g" } },
    });
  });

  test("as a command; text that reads as JSON stays text", () => {
    expect(launchCommand(spec)).toBe(
      `lanza launch -q gpu -e e -j e/p/train:v1 -p p --name 'try 1' --set lr=0.5 --set model.act=tanh --set 'tag="1"' -v gpus=2 -P high -R '{"memory":"8g"}' --args --name 'a b' --n 1`,
    );
  });

  test("built anew, on both ways", () => {
    const anew = { ...spec, rebuild: true };
    expect(launchBody(anew).rebuild).toBe(true);
    expect(launchCommand(anew)).toContain(" --rebuild --args ");
    expect(launchBody(spec)).not.toHaveProperty("rebuild");
  });

  test("shell words", () => {
    expect(shellWords(`python -c 'print("a")' "" x\\ y`)).toEqual(["python", "-c", 'print("a")', "", "x y"]);
  });

  test("who said what in the effective configuration", () => {
    const config = { queue: { cpus: 1, env: { A: "1" } }, item: { cpus: 4 }, effective: { cpus: 4, env: { A: "1" } } };
    expect(layers(config)).toEqual([
      { path: "cpus", value: 4, from: "mine", was: 1 },
      { path: "env.A", value: "1", from: "admin", was: undefined },
    ]);
    expect(atPath({ "a.b": 1, a: { b: 2 } }, "a.b")).toBe(1);
  });
});

describe("the same inputs as form and as JSON", () => {
  const fields = fieldsOf(schema);

  test("go there and back, with what no field has beside", () => {
    const typed = { ...begin(fields, { lr: 0.5, "model": { width: 16 } }), seed: "" };
    const whole = wholeOf(fields, typed, { extra: { deep: 1 } });
    expect(whole).toEqual({ lr: 0.5, model: { width: 16, act: "relu" }, tags: ["a"], extra: { deep: 1 } });
    const parts = partsOf(fields, whole);
    expect(parts.rest).toEqual({ extra: { deep: 1 } });
    expect(parts.typed).toEqual(typed);
  });

  test("the job's own values are not sent", () => {
    const { typed } = partsOf(fields, { lr: 0.5, model: { width: 8, act: "relu" }, tags: ["a"] });
    expect(configOf(fields, typed, false).config).toEqual({ lr: 0.5 });
  });
});

test("environment lines", () => {
  expect(readEnv("A=1\n# no\n\nexport B='x y'\nC=")).toEqual({ env: { A: "1", B: "x y", C: "" } });
  expect(readEnv("")).toEqual({});
  expect(readEnv("just words").error).toContain("just words");
});
