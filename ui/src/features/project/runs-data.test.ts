// @vitest-environment jsdom
import { beforeEach, expect, test } from "vitest";
import { projectKeys } from "./run-keys";
import { asksOf, rememberAsked } from "./runs-data";

beforeEach(() => localStorage.clear());

const keys = projectKeys([
  { key: "summary.loss", kinds: ["number"] },
  { key: "config.lr", kinds: ["number"] },
]);
const at = (text = "") => new URLSearchParams(text);

test("rows wait for the keys of a project at the first visit only", () => {
  expect(asksOf("e/p", at(), null)).toBeNull();
  expect(asksOf("e/p", at(), keys)).toEqual(["summary.loss", "config.lr"]);
  rememberAsked("e/p", keys);
  // The same question, so that the answer to it is the one that the table shows.
  expect(asksOf("e/p", at(), null)).toEqual(asksOf("e/p", at(), keys));
  expect(asksOf("e/other", at(), null)).toBeNull();
});

test("columns of the address and axes of the scatter are asked for, known or not", () => {
  expect(asksOf("e/p", at("columns=state,summary.acc"), null)).toEqual(["summary.acc"]);
  expect(asksOf("e/p", at("columns=summary.acc&sx=config.lr&sy=summary.acc"), keys)).toEqual(["summary.acc", "config.lr"]);
});

test("a broken memory is none, and it does not grow for ever", () => {
  localStorage.setItem("lanza.asked", "{");
  expect(asksOf("e/p", at(), null)).toBeNull();
  for (let n = 0; n < 60; n++) rememberAsked(`e/p${n}`, keys);
  expect(asksOf("e/p59", at(), null)).not.toBeNull();
  expect(asksOf("e/p0", at(), null)).toBeNull();
});
