import { Code } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import type { ConsumerRecord, ProducerRecord } from "../adapters.ts";
import { failure } from "../errors.ts";
import { createDeadLetters } from "./dead-letter.ts";

const record: ConsumerRecord = {
  topic: "t",
  partition: 3,
  offset: "7",
  key: "key",
  value: new TextEncoder().encode("garbage"),
  headers: { traceparent: "trace" },
};
const own = { "source-topic": "t", "source-partition": "3", "source-offset": "7", reason: "why" };

/** @param refusals what Kafka says before it stores */
function open(refusals: Error[] = []) {
  const letters: ProducerRecord[] = [];
  const logged: string[] = [];
  const stop = new AbortController();
  const deadLetters = createDeadLetters({
    async send(letter) {
      const refusal = refusals.shift();
      if (refusal !== undefined) {
        throw refusal;
      }
      letters.push(letter);
    },
    topic: "dead-letter",
    stopped: () => stop.signal,
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  return { ...deadLetters, letters, logged, stop, refusals };
}

test("is the record as it came, and where it came from", async () => {
  const { bury, letters } = open();
  await bury(record, "why");
  expect(letters).toEqual([
    { topic: "dead-letter", key: "key", value: record.value, headers: { traceparent: "trace", ...own } },
  ]);
});

test("is tried again until Kafka takes it", async () => {
  const busy = failure(Code.ResourceExhausted, "UPSTREAM_BUSY", "busy");
  const { bury, letters, logged } = open([busy, failure(Code.DeadlineExceeded, "PUBLISH_TIMEOUT", "late")]);
  await bury(record, "why");
  expect([letters.length, logged]).toEqual([1, []]);
});

test("that Kafka refuses for good is given up, and says so", async () => {
  const { bury, letters, logged } = open([failure(Code.InvalidArgument, "MESSAGE_TOO_LARGE", "large")]);
  await bury(record, "why");
  expect([letters.length, logged]).toEqual([0, ["error a record could not be put on the dead-letter topic"]]);
});

test("holds the others up only once where nothing is taken for half a minute, until something is", async () => {
  vi.useFakeTimers();
  try {
    const { bury, letters, logged, refusals } = open();
    const refuse = (count: number): void => {
      refusals.splice(
        0,
        refusals.length,
        ...Array.from({ length: count }, () => failure(Code.Unavailable, "AWAY", "away")),
      );
    };
    const isSettled = async (buried: Promise<void>): Promise<boolean> => {
      let settled = false;
      void buried.then(() => {
        settled = true;
      });
      await vi.advanceTimersByTimeAsync(0);
      return settled;
    };
    refuse(1000);
    const [first, second] = [bury(record, "first"), bury(record, "second")];
    await vi.advanceTimersByTimeAsync(29_900);
    expect([await isSettled(first), await isSettled(second), logged]).toEqual([false, false, []]);
    await vi.advanceTimersByTimeAsync(1000);
    expect([await isSettled(first), await isSettled(second), logged.length]).toEqual([true, true, 2]);
    expect(await isSettled(bury(record, "third"))).toBe(true);
    expect(logged).toHaveLength(3);
    refuse(0);
    await bury(record, "fourth");
    expect(letters.map(({ headers }) => headers?.reason)).toEqual(["fourth"]);
    refuse(3);
    const fifth = bury(record, "fifth");
    expect(await isSettled(fifth)).toBe(false);
    await vi.advanceTimersByTimeAsync(2000);
    expect([await isSettled(fifth), letters.length, logged.length]).toEqual([true, 2, 3]);
  } finally {
    vi.useRealTimers();
  }
});

test("that is not stored when its reader ends is the next one's", async () => {
  const { bury, stop, refusals } = open();
  refusals.push(...Array.from({ length: 100 }, () => failure(Code.Unavailable, "AWAY", "away")));
  const buried = bury(record, "why");
  stop.abort();
  await expect(buried).rejects.toThrow("away");
});

test.each<[string, Partial<ConsumerRecord>, number, readonly string[]]>([
  ["value", { value: new Uint8Array(1_000_000) }, 1024, ["traceparent"]],
  ["value with its headers", { value: new Uint8Array(880_000), headers: { h: "x".repeat(130_000) } }, 1024, ["h"]],
  ["header", { headers: { small: "s", large: "ä".repeat(500_000), other: "o" } }, 7, ["small", "other"]],
  ["key", { key: "x".repeat(1_000_000) }, 7, ["traceparent"]],
  ["nothing", { value: new Uint8Array(880_000) }, 880_000, ["traceparent"]],
])("with too large a %s is cut to what Kafka takes", async (_what, changes, valueBytes, headers) => {
  const { bury, letters } = open();
  await bury({ ...record, ...changes }, "why");
  const letter = letters[0];
  expect(letter?.value).toHaveLength(valueBytes);
  expect(Object.keys(letter?.headers ?? {})).toEqual([...headers, ...Object.keys(own)]);
  const text = `${letter?.key}${Object.entries(letter?.headers ?? {})
    .flat()
    .join("")}`;
  expect(valueBytes + new TextEncoder().encode(text).length).toBeLessThan(950_000);
});
