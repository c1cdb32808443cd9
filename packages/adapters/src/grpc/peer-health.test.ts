import { Code, ConnectError } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { describe, expect, test } from "vitest";
import { createPeerHealth } from "./peer-health.ts";
import { createRetryBudget } from "./retry-budget.ts";
import { type CallFailure, unreachable } from "./status.ts";

const lost: CallFailure = { error: unreachable(), reached: true };
const crashed: CallFailure = { error: failure(Code.Internal, "LOGIC_ERROR", "the service failed"), reached: true };
const refused: CallFailure = { error: new ConnectError("no such user", Code.NotFound), reached: true };
const unknown: CallFailure = { error: failure(Code.Unimplemented, "LOGIC_ERROR", "no such method"), reached: true };

function open() {
  let nowMs = 1000;
  const ejections: number[] = [];
  const health = createPeerHealth(
    () => nowMs,
    (forMs) => ejections.push(forMs),
  );
  return {
    health,
    ejections,
    pass: (ms: number) => {
      nowMs += ms;
    },
    fail: (count: number, what: CallFailure | undefined, tookMs = 5000) => {
      for (let call = 0; call < count; call++) {
        const attempt = health.begin();
        nowMs += what === undefined ? tookMs : 0;
        attempt.failed(what);
      }
    },
    answer: () => health.begin().answered(),
  };
}

describe("five in a row", () => {
  test.each([
    ["lost connections", lost, true],
    ["errors that say nothing of the request", crashed, true],
    ["deadlines", undefined, true],
    ["refusals of the request", refused, false],
    ["methods that it does not know", unknown, false],
  ])("%s", (_what, what, ejects) => {
    const { health, fail, ejections } = open();
    fail(4, what);
    expect(health.state()).toBe("well");
    fail(1, what);
    expect([health.state(), ejections]).toEqual(ejects ? ["ejected", [10_000]] : ["well", []]);
  });

  test("deadlines that a client made too short say nothing", () => {
    const { health, fail } = open();
    fail(50, undefined, 20);
    expect(health.state()).toBe("well");
  });

  test("not in a row: one good answer begins anew", () => {
    const { health, fail, answer } = open();
    fail(4, lost);
    answer();
    fail(4, lost);
    expect(health.state()).toBe("well");
  });
});

test("each ejection is longer, up to a minute; the first failure after one ejects again, a good while forgives", () => {
  const { health, fail, answer, pass, ejections } = open();
  fail(5, lost);
  for (let again = 0; again < 7; again++) {
    pass(ejections.at(-1) ?? 0);
    expect(health.state()).toBe("well");
    fail(1, lost);
  }
  expect(ejections).toEqual([10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 60_000, 60_000]);
  pass(60_000);
  answer();
  pass(120_001);
  fail(4, lost);
  expect(health.state()).toBe("well");
  fail(1, lost);
  expect(ejections.at(-1)).toBe(10_000);
});

test("failures of calls that began before an ejection do not prolong it", () => {
  const { health, pass, ejections } = open();
  const calls = Array.from({ length: 20 }, () => health.begin());
  pass(5000);
  for (const call of calls) {
    call.failed(undefined);
  }
  expect(ejections).toEqual([10_000]);
});

test("silent: a call waits for a second and nothing has come since; an answer to any call ends it, and so does its end", () => {
  const { health, answer, pass } = open();
  const waiting = health.begin();
  pass(999);
  expect(health.state()).toBe("well");
  pass(1);
  expect(health.state()).toBe("silent");
  answer();
  expect(health.state()).toBe("well");
  pass(1000);
  expect(health.state()).toBe("silent");
  waiting.abandoned();
  expect(health.state()).toBe("well");
});

test("calls are repeated up to a fifth of all, and one a second where calls are few", () => {
  let nowMs = 0;
  const budget = createRetryBudget(() => nowMs);
  const spent = (tries: number): number => Array.from({ length: tries }, () => budget.spend()).filter(Boolean).length;
  expect(spent(100)).toBe(10);
  for (let call = 0; call < 50; call++) {
    budget.earn();
  }
  expect(spent(100)).toBe(10);
  nowMs += 3000;
  expect(spent(100)).toBe(3);
  nowMs += 3_600_000;
  expect(spent(100)).toBe(20);
});
