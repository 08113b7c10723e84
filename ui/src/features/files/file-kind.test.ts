import { expect, test } from "vitest";
import { isText, kindOf } from "./file-kind";
import { linesOf } from "./source-text";

test("files are what their names say, and text where they say nothing", () => {
  expect(["train.py", "Dockerfile", "a/b.YAML", ".gitignore", "page.html"].map(kindOf)).toEqual(["text", "text", "text", "text", "text"]);
  expect(["plot.PNG", "a.b/logo.svg"].map(kindOf)).toEqual(["image", "image"]);
  expect(["model.pt", "data.tar.gz"].map(kindOf)).toEqual(["other", "other"]);
  expect([isText("a\nb"), isText("PK\u0003\0")]).toEqual([true, false]);
});

test("the end of the last line begins none", () => {
  expect(linesOf("a\nb\n")).toEqual(["a", "b"]);
  expect(linesOf("a\n\nb")).toEqual(["a", "", "b"]);
  expect(linesOf("")).toEqual([]);
});
