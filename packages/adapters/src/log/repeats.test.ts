// Lines that repeat: what is written, and that every one is accounted for.
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { createLogger, type LoggerOptions } from "./index.ts";

function start(options: LoggerOptions = {}) {
  const lines: Readonly<Record<string, unknown>>[] = [];
  let nowMs = Date.UTC(2026, 0, 31);
  const logger = createLogger({
    now: () => nowMs,
    write: (line) => lines.push(JSON.parse(line)),
    ...options,
  });
  return {
    lines,
    logger,
    log: logger.module("gateway"),
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** Each written line stands for itself and for what it says was suppressed. */
    accounted: () => lines.reduce((sum, { suppressed = 0 }) => sum + 1 + Number(suppressed), 0),
  };
}

describe("a line that repeats", () => {
  test("is written 10 times in 10 s; the next one after them says how many were not", () => {
    const { lines, log, pass, accounted } = start();
    for (let n = 0; n < 1000; n++) log("warn", "skipped", { n });
    expect(lines.map(({ n }) => n)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(lines.every((line) => !("suppressed" in line))).toBe(true);
    pass(9999);
    log("warn", "skipped", { n: 1000 });
    expect(lines).toHaveLength(10);
    pass(1);
    log("warn", "skipped", { n: 1001 });
    expect(lines.slice(10)).toMatchObject([{ message: "skipped", n: 1001, suppressed: 991 }]);
    expect(accounted()).toBe(1002);
  });

  test("is held back by level, module and message, whatever its fields", () => {
    const { lines, log, logger } = start();
    for (let n = 0; n < 20; n++) {
      log("warn", "one", { n });
      log("error", "one");
      log("info", "one");
      log("warn", "two");
      logger.module("kafka")("warn", "one");
    }
    expect(lines).toHaveLength(50);
  });

  test("is written as often as it comes at level debug", () => {
    const { lines, log } = start({ level: "debug" });
    for (let n = 0; n < 100; n++) log("debug", "detail");
    expect(lines).toHaveLength(100);
  });

  test("is given out at the end of its window, the last of them with its own fields and time", async () => {
    const { lines, log, pass, accounted } = start({ repeats: { maxLines: 2, windowMs: 30 } });
    for (let n = 0; n < 5; n++) {
      log("error", "failed", { n });
      pass(1);
    }
    expect(lines).toHaveLength(2);
    pass(30);
    await waitFor(() => lines.length === 3, { timeoutMs: 5000, what: "the end of the window" });
    expect(lines[2]).toMatchObject({ n: 4, suppressed: 2, timestamp: "2026-01-31T00:00:00.004Z" });
    expect(accounted()).toBe(5);
  });

  test("is given out by flush; a single one says nothing of others", () => {
    const { lines, log, logger, accounted } = start({ repeats: { maxLines: 1, windowMs: 60_000 } });
    for (const message of ["a", "a", "a", "b", "b"]) log("warn", message);
    logger.flush();
    logger.flush();
    expect(lines.map(({ message, suppressed }) => [message, suppressed])).toEqual([
      ["a", undefined],
      ["b", undefined],
      ["a", 1],
      ["b", undefined],
    ]);
    expect(accounted()).toBe(5);
  });

  test("passes again where the clock was put back", () => {
    const { lines, log, pass } = start({ repeats: { maxLines: 1, windowMs: 1000 } });
    log("warn", "x");
    pass(-3_600_000);
    log("warn", "x");
    expect(lines).toHaveLength(2);
  });
});

test("who runs the process always gets the lines that it waits for", () => {
  const { lines, log } = start({ repeats: { maxLines: 1, windowMs: 1000 } });
  for (let n = 0; n < 3; n++) for (const message of ["listening", "draining", "ended"]) log("info", message);
  expect(lines).toHaveLength(9);
});

test("any number of different messages takes bounded memory and a bounded number of lines", () => {
  const { lines, log, logger, accounted } = start();
  for (let n = 0; n < 100_000; n++) log("warn", `message ${n}`);
  expect(lines.length).toBeLessThan(300);
  logger.flush();
  expect(lines.length).toBeLessThan(300);
  expect(accounted()).toBe(100_000);
});
