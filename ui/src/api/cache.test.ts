import { notifyManager } from "@tanstack/react-query";
import { expect, test } from "vitest";
import "./cache";

test("what comes with one answer is told in one go", async () => {
  const order: string[] = [];
  notifyManager.schedule(() => order.push("first chart"));
  setTimeout(() => order.push("a frame"), 0);
  notifyManager.schedule(() => order.push("second chart"));
  await expect.poll(() => order.length).toBe(3);
  expect(order).toEqual(["first chart", "second chart", "a frame"]);
  notifyManager.schedule(() => order.push("later"));
  await expect.poll(() => order.at(-1)).toBe("later");
});
