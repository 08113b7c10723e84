import { expect, test } from "vitest";
import { type Fields, keepFitting, listChipText, listChipTyped, parseListChip, valuesOf } from "./list-filter";

interface Row {
  name: string;
  state: string;
  queues: string[];
  slots: number | null;
}
const rows: Row[] = [
  { name: "agent-1", state: "polling", queues: ["gpu", "cpu"], slots: 4 },
  { name: "agent-2", state: "killed", queues: ["cpu"], slots: 1 },
  { name: "other", state: "Running", queues: [], slots: null },
];
const fields: Fields<Row> = { name: (row) => row.name, state: (row) => row.state, queue: (row) => row.queues, slots: (row) => row.slots };
const kept = (...texts: string[]) => keepFitting(rows, texts.map((text) => parseListChip(text, Object.keys(fields))!), fields).map((row) => row.name);

test("a chip fits a field, words fit any of them, all of them must fit", () => {
  expect(kept()).toEqual(["agent-1", "agent-2", "other"]);
  expect(kept("state:running")).toEqual(["other"]);
  expect(kept("queue=gpu,none")).toEqual(["agent-1"]);
  expect(kept("queue!=cpu")).toEqual(["other"]);
  expect(kept("name~AGENT", "slots>1")).toEqual(["agent-1"]);
  expect(kept("slots<=1")).toEqual(["agent-2"]);
  expect(kept("cpu")).toEqual(["agent-1", "agent-2"]);
  // No field is called so: it is a word that one looks for.
  expect(kept("host:a")).toEqual([]);
});

test("chips are shown, edited and kept as texts", () => {
  const chip = parseListChip(" State : polling ", ["state"])!;
  expect([listChipText(chip), listChipTyped(chip)]).toEqual(["state = polling", "state=polling"]);
  expect(parseListChip(listChipTyped(chip), ["state"])).toEqual(chip);
  expect(listChipText(parseListChip("two words", ["state"])!)).toBe("two words");
  expect(parseListChip("  ", ["state"])).toBeNull();
});

test("a list that has no such field is not filtered by it", () => {
  const chip = parseListChip("queue:gpu", ["queue"])!;
  expect(keepFitting([{ project: "p" }], [chip], { project: (row) => row.project })).toHaveLength(1);
});

test("values are suggested where there are few", () => {
  expect(valuesOf(rows, fields).queue).toEqual(["cpu", "gpu"]);
  expect(valuesOf(Array.from({ length: 100 }, (_, index) => ({ index })), { index: (row) => row.index }).index).toBeUndefined();
});
