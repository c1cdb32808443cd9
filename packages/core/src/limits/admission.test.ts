import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Socket } from "../adapters.ts";
import { Connection } from "../connection.ts";
import { createCounters } from "../counters.ts";
import { toConnectError } from "../error-json.ts";
import { reasonOf, retryAfterMsOf } from "../errors.ts";
import { type Admission, createAdmission, defaultLimits, type Limits } from "./admission.ts";
import { createTokenBucket } from "./token-bucket.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const now = (): number => performance.now();

function open(limits: Partial<Limits>, memoryBytes: () => number = () => 0) {
  const counters = createCounters();
  const logged: string[] = [];
  const log = (_level: string, message: string): void => void logged.push(message);
  const admission = createAdmission({ limits: { ...defaultLimits, ...limits }, memoryBytes, counters, log, now });
  const running = new AbortController();
  admission.start(running.signal);
  return { admission, counters, logged, stop: () => running.abort() };
}

/** "taken", or why not; every refusal says when to come again. */
function outcome(admit: () => void): string {
  try {
    admit();
    return "taken";
  } catch (thrown) {
    const error = toConnectError(thrown);
    expect(retryAfterMsOf(error)).toBeGreaterThanOrEqual(1000);
    return `${Code[error.code]} ${reasonOf(error)}`;
  }
}

test("a bucket gives its burst at once, then its rate, and says when the next one is there", async () => {
  const bucket = createTokenBucket(10, 3, now);
  expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([0, 0, 0, 100]);
  await vi.advanceTimersByTimeAsync(99);
  expect(bucket.take()).toBeOneOf([1, 2]);
  await vi.advanceTimersByTimeAsync(1);
  expect([bucket.take(), bucket.take()]).toEqual([0, 100]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([0, 0, 0, 100]);
});

describe("a socket", () => {
  const limits = { acceptRate: 1, maxConnections: 10, maxUnauthenticated: 3 };
  test.each<readonly [string, number, number, string, string | undefined]>([
    ["is taken", 9, 2, "taken", undefined],
    ["is one too many", 10, 0, "Unavailable OVERLOADED", "connections"],
    ["is one too many that has to authenticate", 9, 3, "Unavailable OVERLOADED", "unauthenticated"],
  ])("that %s", (_what, size, unauthenticated, expected, counted) => {
    const { admission, counters } = open(limits);
    expect(outcome(() => admission.admitSocket(size, unauthenticated))).toBe(expected);
    expect([...counters.refused]).toEqual(counted === undefined ? [] : [[counted, 1]]);
  });

  test("that comes too soon after others", async () => {
    const { admission, counters } = open(limits);
    const come = (): string => outcome(() => admission.admitSocket(0, 0));
    expect([come(), come(), come()]).toEqual(["taken", "taken", "Unavailable RATE_LIMITED"]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(come()).toBe("taken");
    expect([...counters.refused]).toEqual([["accept_rate", 1]]);
  });
});

test("messages are taken at their rate; without one all of them", async () => {
  const { admission } = open({ messagesPerSecond: 4 });
  const send = (): string => outcome(admission.admitMessage);
  expect([send(), send(), send()]).toEqual(["taken", "taken", "ResourceExhausted RATE_LIMITED"]);
  await vi.advanceTimersByTimeAsync(250);
  expect([send(), send()]).toEqual(["taken", "ResourceExhausted RATE_LIMITED"]);
  const free = open({}).admission;
  expect(Array.from({ length: 10_000 }, () => outcome(free.admitMessage)).every((each) => each === "taken")).toBe(true);
});

const work = (admission: Admission): readonly string[] => [
  outcome(admission.admitWork),
  outcome(admission.admitMessage),
  outcome(() => admission.admitSocket(0, 0)),
];
const nothing = ["Unavailable OVERLOADED", "Unavailable OVERLOADED", "Unavailable OVERLOADED"];
const everything = ["taken", "taken", "taken"];

test("memory past its bound: nothing new is taken and records wait, until it is well below again", async () => {
  let memory = 1000;
  const { admission, counters, logged, stop } = open({ memoryBytes: 1000 }, () => memory);
  await vi.advanceTimersByTimeAsync(100);
  expect([work(admission), admission.memoryFreed()]).toEqual([everything, undefined]);
  memory = 1001;
  await vi.advanceTimersByTimeAsync(100);
  expect(work(admission)).toEqual(nothing);
  expect([...counters.refused]).toEqual([["memory", 3]]);
  let waited = "still";
  void admission.memoryFreed()?.then(() => {
    waited = "over";
  });
  memory = 951;
  await vi.advanceTimersByTimeAsync(1000);
  expect([waited, admission.overloaded]).toEqual(["still", true]);
  memory = 950;
  await vi.advanceTimersByTimeAsync(150);
  expect([waited, work(admission)]).toEqual(["over", everything]);
  expect(logged).toEqual(["overloaded: nothing new is taken", "no longer overloaded"]);
  memory = 2000;
  await vi.advanceTimersByTimeAsync(100);
  waited = "still";
  void admission.memoryFreed()?.then(() => {
    waited = "over";
  });
  await vi.advanceTimersByTimeAsync(5000);
  expect(waited).toBe("over");
  stop();
  expect(vi.getTimerCount()).toBe(0);
});

test("an event loop that is late again and again: nothing new is taken; one long turn is none", async () => {
  const { admission } = open({});
  const late = async (ms: number): Promise<void> => {
    // The clock goes on while no timer runs.
    vi.setSystemTime(Date.now() + ms);
    clock += ms;
    await vi.advanceTimersByTimeAsync(100);
  };
  let clock = 0;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
  const step = async (ms: number): Promise<void> => {
    clock += 100;
    await late(ms);
  };
  await step(1500);
  expect(admission.overloaded).toBe(false);
  await step(1500);
  expect(work(admission)).toEqual(nothing);
  for (let tick = 0; tick < 5; tick++) {
    await step(0);
  }
  expect(work(admission)).toEqual(everything);
});

test("past the budget of what waits, the fullest go until four fifths are left, and no more", () => {
  const { admission, counters } = open({ bufferedBytes: 1000 });
  const connection = (bufferedBytes: number): Connection => {
    const socket: Socket = { bufferedBytes, write: () => 0, ping: () => {}, close: () => {} };
    return new Connection(String(bufferedBytes), socket, { sendBufferBytes: 1e6 }, counters, 0);
  };
  const some = [100, 300, 250, 350].map(connection);
  expect(admission.overfull(some)).toEqual([]);
  const more = [...some, connection(1)];
  expect(admission.overfull(more).map(({ id }) => id)).toEqual(["350"]);
  expect(admission.overfull([...more, connection(400), connection(0)]).map(({ id }) => id)).toEqual(["400", "350"]);
  expect([...counters.refused]).toEqual([["buffered_bytes", 3]]);
});
