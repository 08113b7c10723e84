import { expect, test } from "vitest";
import { commandLine } from "./metadata";

test("the command as one would type it", () => {
  expect(commandLine({ program: "/home/u/train.py", codePath: "src/train.py", args: ["--lr", "0.1", "a b"] })).toBe("python src/train.py --lr 0.1 'a b'");
  expect(commandLine({ program: "run.sh" })).toBe("run.sh");
  expect(commandLine({})).toBeNull();
});
