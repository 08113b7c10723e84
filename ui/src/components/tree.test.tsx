// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { readExactly } from "../api/exact";
import { Tree } from "./tree";

afterEach(cleanup);

test("integers are shown whole, however long they are", () => {
  render(<Tree name="Config" value={readExactly('{"seed": 12345678901234567, "steps": 20000000, "lr": 0.123456, "net": {"seed": -12345678901234567}}')} search />);
  const values = () => [...document.querySelectorAll(".leaf")].map((leaf) => [...leaf.children].map((part) => part.textContent).join(" "));
  expect(values()).toEqual(["seed 12345678901234567", "steps 20000000", "lr 0.123456", "seed -12345678901234567"]);
  screen.getByRole("treeitem", { name: "seed: 12345678901234567" });
});
