import { describe, expect, test } from "vitest";
import { agentCommand, ago, bytes, count, duration, metric, shellWord } from "./text";

describe("numbers as people read them", () => {
  test.each([
    [0, "0.0s"],
    [9_940, "9.9s"],
    [9_960, "10s"],
    [59_600, "1m 00s"],
    [64_000, "1m 04s"],
    [7_500_000, "2h 05m"],
    [3 * 86_400_000 + 4 * 3_600_000, "3d 04h"],
    [-5, "0.0s"],
    [Number.NaN, "–"],
  ])("%d ms is %s", (ms, text) => expect(duration(ms)).toBe(text));

  test.each([
    [0.931_52, "0.9315"],
    [12.4, "12.4"],
    [0, "0"],
    [1234, "1234"],
    [1.2e-7, "1.2e-7"],
    [123_456_789, "1.235e8"],
    ["NaN", "NaN"],
    [null, "–"],
    [{ a: 1 }, '{"a":1}'],
  ])("metric %j is %s", (value, text) => expect(metric(value)).toBe(text));

  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [300 * 1024 ** 2, "300 MiB"],
    [5 * 1024 ** 3, "5 GiB"],
  ])("%d bytes are %s", (size, text) => expect(bytes(size)).toBe(text));

  test("times are relative in both directions", () => {
    const now = Date.parse("2026-01-02T00:00:00Z");
    expect(ago("2026-01-01T23:59:58Z", now)).toBe("now");
    expect(ago("2026-01-01T23:57:00Z", now)).toBe("3m ago");
    expect(ago("2026-01-02T02:00:00Z", now)).toBe("in 2h");
    expect(ago("2024-12-02T00:00:00Z", now)).toBe("1y ago");
  });

  test("one and many", () => {
    expect(count(1, "item")).toBe("1 item");
    expect(count(12_000, "item")).toBe("12,000 items");
    expect(count(0, "entry", "entries")).toBe("0 entries");
  });

  test("words for a shell", () => {
    expect(shellWord("lr=0.1")).toBe("lr=0.1");
    expect(shellWord("it's $HOME")).toBe(`'it'\\''s $HOME'`);
    expect(shellWord("")).toBe("''");
    expect(agentCommand("gpu", "team")).toBe("lanza agent -q gpu -e team");
    expect(agentCommand("$(id); x", "team")).toBe("lanza agent -q '$(id); x' -e team");
  });
});
