// Which tokens are taken back, and for how long. The doors are in control.test.ts.
import { expect, test } from "vitest";
import { createRevocations, type Revocations } from "./revocations.ts";

const alice = { userId: "alice", deviceId: "phone", sessionId: "s", tokenId: "t", issuedAtMs: 5_000, expiresAtMs: 1e9 };
const none = { userId: "", deviceId: "", sessionId: "", tokenId: "" };

function fresh(maxEntries = 10): { revocations: Revocations; logged: string[]; pass: (ms: number) => void } {
  let nowMs = 10_000;
  const logged: string[] = [];
  const log = (level: string, message: string): unknown => logged.push(`${level}: ${message}`);
  return {
    revocations: createRevocations({ holdMs: 1000, maxEntries, log, now: () => nowMs }),
    logged,
    pass(ms) {
      nowMs += ms;
    },
  };
}

test.each([
  [{ tokenId: "t" }, 0, true],
  [{ sessionId: "s" }, 0, true],
  [{ sessionId: "other" }, 9_000, false],
  [{ sessionId: "s", userId: "bob" }, 9_000, false],
  [{ userId: "alice" }, 5_000, true],
  [{ userId: "alice" }, 4_999, false],
  [{ userId: "alice", deviceId: "tablet" }, 9_000, false],
  [{ userId: "alice", deviceId: "phone" }, 9_000, true],
  [{ deviceId: "phone" }, 9_000, true],
])("%j at %i: %s", (target, atMs, has) => {
  const { revocations } = fresh();
  expect(revocations.has(alice)).toBe(false);
  revocations.add({ ...none, ...target }, atMs);
  expect(revocations.has(alice)).toBe(has);
});

test("a token without a time of issue is taken for an old one", () => {
  const { revocations } = fresh();
  revocations.add({ ...none, userId: "alice" }, 1);
  const { issuedAtMs: _, ...undated } = alice;
  expect(revocations.has(undated)).toBe(true);
});

test("it holds for its time; asked for again, longer, and never for less than before", () => {
  const { revocations, pass } = fresh();
  revocations.add({ ...none, userId: "alice" }, 6_000);
  pass(900);
  expect(revocations.has(alice)).toBe(true);
  revocations.add({ ...none, userId: "alice" }, 1_000);
  pass(900);
  expect(revocations.has(alice)).toBe(true);
  pass(100);
  expect(revocations.has(alice)).toBe(false);
});

test("memory is bounded: the oldest is forgotten, with one line in the log", () => {
  const { revocations, logged, pass } = fresh(3);
  const add = (tokenId: string): void => revocations.add({ ...none, tokenId }, 0);
  const has = (tokenId: string): boolean => revocations.has({ ...alice, tokenId });
  for (const tokenId of ["1", "2", "3", "1", "4", "5"]) {
    add(tokenId);
  }
  expect(["1", "2", "3", "4", "5"].filter(has)).toEqual(["1", "4", "5"]);
  expect(logged).toEqual(["error: too many revocations, the oldest are forgotten"]);
  pass(1000);
  for (const tokenId of ["6", "7", "8"]) {
    add(tokenId);
  }
  expect(["6", "7", "8"].filter(has)).toEqual(["6", "7", "8"]);
  expect(logged).toHaveLength(1);
});
