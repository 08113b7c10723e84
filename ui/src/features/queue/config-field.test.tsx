// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { Problem } from "../../api/client";
import { ConfigField, configText, type Parsed, useConfig } from "./config-field";

afterEach(cleanup);

function Editor({ ask }: { ask: (parsed: Parsed) => Promise<string[]> }) {
  return <ConfigField state={useConfig(configText({}, {}), ask)} target="docker" />;
}

const parse = () => fireEvent.click(screen.getByRole("button", { name: "Parse configuration" }));
const write = (text: string) => fireEvent.change(screen.getByLabelText("Configuration"), { target: { value: text } });

test("what the server knows of a configuration is said when it is parsed, until it is changed", async () => {
  const ask = vi.fn(async () => Promise.resolve(["`volumme` is not an option of `docker run` that agents know; did you mean `volume`?"]));
  render(<Editor ask={ask} />);
  write('{"volumme": "{{place}}"}');
  parse();
  expect((await screen.findByRole("status", { name: "About the configuration" })).textContent).toMatch(/did you mean `volume`/);
  expect(ask).toHaveBeenCalledWith({ config: { volumme: "{{place}}" }, templates: { place: expect.objectContaining({ type: "string" }) as unknown } });
  write('{"volume": "/data:/data"}');
  expect(screen.queryByRole("status", { name: "About the configuration" })).toBeNull();
});

test("a refusal names the field, and what cannot be read is not sent", async () => {
  const ask = vi.fn(async () => Promise.reject(new Problem(422, { code: "template_invalid", message: "queues[0].templates.n: has no type" })));
  render(<Editor ask={ask} />);
  write("{");
  parse();
  await screen.findByText(/not JSON/);
  expect(ask).not.toHaveBeenCalled();
  write("{}");
  parse();
  await screen.findByText("templates.n: has no type");
});
