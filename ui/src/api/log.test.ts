import { afterEach, expect, test, vi } from "vitest";
import { readLog, TAIL, tailAhead } from "./log";

afterEach(() => vi.unstubAllGlobals());

function server(...answers: (Response | Error)[]) {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    const answer = answers.shift() ?? new Response("later\n", { headers: { "x-log-first-line": "9", "x-log-lines": "9" } });
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
  return asked;
}

test("the end of a log that was read ahead is read once, and used once", async () => {
  const asked = server(new Response("a\nb\n", { headers: { "x-log-first-line": "7", "x-log-lines": "8" } }));
  tailAhead("/log");
  tailAhead("/log");
  expect(await readLog("/log", { tail: TAIL })).toEqual({ text: "a\nb\n", first: 7, lines: 8 });
  expect(asked).toEqual(["/log?tail=1000"]);
  expect((await readLog("/log", { tail: TAIL })).lines).toBe(9);
  expect((await readLog("/log", { from_line: 1, lines: 5 })).lines).toBe(9);
  expect(asked).toHaveLength(3);
});

test("a reading ahead that failed is done again, and another log is another one", async () => {
  const asked = server(new Error("no network"));
  tailAhead("/one");
  expect((await readLog("/two", { tail: TAIL })).lines).toBe(9);
  expect((await readLog("/one", { tail: TAIL })).lines).toBe(9);
  expect(asked).toEqual(["/one?tail=1000", "/two?tail=1000", "/one?tail=1000"]);
});
