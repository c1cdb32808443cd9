import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCounters } from "../counters.ts";
import { toConnectError } from "../error-json.ts";
import { reasonOf, retryAfterMsOf } from "../errors.ts";
import { type Admission, createAdmission, defaultLimits, type Limits } from "./admission.ts";
import { createTokenBucket } from "./token-bucket.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const now = (): number => performance.now();

function open(limits: Partial<Limits>, memoryUse: () => number = () => 0) {
  const counters = createCounters();
  const logged: string[] = [];
  const admission = createAdmission({
    limits: { ...defaultLimits, ...limits },
    memoryUse,
    counters,
    log: (_level, message, fields) => logged.push(`${message} (${fields?.reason})`),
    now,
  });
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
  test.each<readonly [string, number, number, boolean, string, string | undefined]>([
    ["is taken", 9, 2, false, "taken", undefined],
    ["is one too many", 10, 0, true, "Unavailable OVERLOADED", "connections"],
    ["is one too many that has to authenticate", 9, 3, false, "Unavailable OVERLOADED", "unauthenticated"],
    ["has a token, where too many have none", 9, 3, true, "taken", undefined],
  ])("that %s", (_what, size, unauthenticated, hasToken, expected, counted) => {
    const { admission, counters } = open(limits);
    const sockets = { size, unauthenticated };
    expect(outcome(() => admission.admitSocket(sockets, hasToken))).toBe(expected);
    expect(admission.refusesOpened(sockets, hasToken)).toBe(expected !== "taken");
    expect([...counters.refused]).toEqual(counted === undefined ? [] : [[counted, 2]]);
  });

  test("that comes too soon after others", async () => {
    const { admission, counters } = open(limits);
    const come = (): string => outcome(() => admission.admitSocket({ size: 0, unauthenticated: 0 }, true));
    expect([come(), come(), come()]).toEqual(["taken", "taken", "Unavailable OVERLOADED"]);
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
  outcome(() => admission.admitSocket({ size: 0, unauthenticated: 0 }, true)),
];
const nothing = ["Unavailable OVERLOADED", "Unavailable OVERLOADED", "Unavailable OVERLOADED"];
const everything = ["taken", "taken", "taken"];

test("memory past its bound for a second: nothing new is taken, until it is well below for a second", async () => {
  let use = 0.99;
  const { admission, counters, logged, stop } = open({}, () => use);
  await vi.advanceTimersByTimeAsync(2000);
  expect(work(admission)).toEqual(everything);
  use = 1;
  await vi.advanceTimersByTimeAsync(1000);
  expect(work(admission)).toEqual(everything);
  await vi.advanceTimersByTimeAsync(100);
  expect(work(admission)).toEqual(nothing);
  expect([...counters.refused]).toEqual([["memory", 3]]);
  use = 0.95;
  await vi.advanceTimersByTimeAsync(2000);
  expect(work(admission)).toEqual(nothing);
  use = 0.94;
  await vi.advanceTimersByTimeAsync(1100);
  expect(work(admission)).toEqual(everything);
  expect(logged).toEqual(["overloaded: nothing new is taken (memory)", "no longer overloaded (memory)"]);
  stop();
  expect(vi.getTimerCount()).toBe(0);
});

test("an event loop that is late for a second: nothing new is taken; a process that was frozen is none", async () => {
  let clockMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => clockMs);
  const { admission, logged } = open({});
  /** The timer fires so late. */
  const late = async (ms: number): Promise<void> => {
    clockMs += 100 + ms;
    await vi.advanceTimersByTimeAsync(100);
  };
  await late(0);
  await late(60_000);
  expect(work(admission)).toEqual(everything);
  await late(0);
  await late(700);
  await late(700);
  expect(work(admission)).toEqual(everything);
  await late(700);
  expect(work(admission)).toEqual(nothing);
  for (let tick = 0; tick < 11; tick++) {
    await late(249);
  }
  expect(work(admission)).toEqual(everything);
  expect(logged).toEqual(["overloaded: nothing new is taken (event_loop)", "no longer overloaded (event_loop)"]);
});
