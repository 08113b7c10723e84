import { expect, test } from "vitest";
import type { Run } from "../../api/types";
import { defaultColumns, tellingKeys } from "./run-columns";
import { byWeight, chartKeys, keysToAsk, metricKeys, mostTelling, nestedRun, projectKeys, resultOf } from "./run-keys";

const keys = projectKeys([
  { key: "summary.grad/norm", kinds: ["number"] },
  { key: "summary.val/loss", kinds: ["number"] },
  { key: "summary.val/accuracy", kinds: ["number"] },
  { key: "summary.note", kinds: ["text"] },
  { key: "summary._step", kinds: ["number"] },
  { key: "config.lr", kinds: ["number"] },
  { key: "config.seed", kinds: ["number"] },
]);

test("results on held-back data come first", () => {
  expect(byWeight(["grad/norm", "train/loss", "val/loss", "val/accuracy", "layer10", "layer2"])).toEqual(["val/accuracy", "val/loss", "train/loss", "grad/norm", "layer2", "layer10"]);
  expect(mostTelling(["train/loss", "val/loss", "val/accuracy2", "val/accuracy"])).toBe("val/accuracy");
  expect(mostTelling([])).toBeUndefined();
  expect(keys.metrics).toEqual(["summary.val/accuracy", "summary.val/loss", "summary.grad/norm"]);
  expect(keys.all).not.toContain("summary._step");
});

test("metrics in dictionaries have their dotted names; media are none, and what is kept of a metric is that metric", () => {
  const run = {
    summary: { _step: 3, loss: 0.1, bad: "-Infinity", note: "x", train: { loss: 1, deep: { acc: "NaN", _n: 2 } }, best: { min: 0.5, max: 2 }, plot: { _type: "image-file", width: 3 }, list: [1], empty: {} },
  };
  expect(metricKeys([run])).toEqual(["loss", "bad", "train.loss", "train.deep.acc", "train.deep._n", "best"]);
  // A dictionary may have been written by hand: it has a line when somebody logged it.
  expect(chartKeys([run])).toEqual(["loss", "bad", "best"]);
  expect(chartKeys([run], ["train.loss", "loss", "other"])).toEqual(["loss", "bad", "train.loss", "best"]);
  expect([nestedRun([{ summary: { a: 1 } }, run]), nestedRun([{ summary: { a: 1 } }])]).toEqual([run, undefined]);
  expect(["loss", "train.deep.acc", "best"].map((key) => resultOf(run, key))).toEqual([0.1, "NaN", 0.5]);
});

test("settings that differ say more than those that do not", () => {
  const runs = [{ config: { seed: 1, lr: 0.1 } }, { config: { seed: 1, lr: 0.2 } }] as unknown as Run[];
  expect(tellingKeys(runs)).toEqual(["lr", "seed"]);
  expect(defaultColumns(runs, keys)).toEqual(["state", "summary.val/accuracy", "summary.val/loss", "summary.grad/norm", "created", "duration", "config.lr", "config.seed", "author", "tags"]);
});

test("a page is asked for the keys that are shown", () => {
  expect(keysToAsk(null, keys, [])).toEqual([...keys.metrics, "config.lr", "config.seed"]);
  expect(keysToAsk(["state", "summary.a"], keys, ["config.lr", "summary.a"])).toEqual(["summary.a", "config.lr"]);
});
