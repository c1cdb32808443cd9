// What time alone does, as a table: the limits of CONTRACT §4 to the millisecond.
import { describe, expect, test } from "vitest";
import { Connection } from "../connection.ts";
import { createCounters } from "../counters.ts";
import { CloseCode } from "../errors.ts";
import { sweepIntervalMs, sweepVerdict } from "./sweep.ts";

const limits = { heartbeatIntervalMs: 25_000, heartbeatTimeoutMs: 10_000, authTimeoutMs: 10_000 };
const silent = { bufferedBytes: 0, write: () => 0, ping() {}, close() {} };

function connected(expiresAtMs: number): Connection {
  const connection = new Connection("c", silent, { sendBufferBytes: 1 }, createCounters(), 0);
  connection.authenticated({ userId: "u", deviceId: "d", sessionId: "", expiresAtMs });
  return connection;
}

describe("an open connection", () => {
  const far = 10_000_000;
  test.each([
    // now, last input, pinged at, expires, told already → verdict
    [0, 0, 0, far, false, "nothing"],
    [24_999, 0, 0, far, false, "nothing"],
    [25_000, 0, 0, far, false, "ping"],
    [25_000, 1, 0, far, false, "nothing"],
    // asked at 25,000, no answer
    [34_999, 0, 25_000, far, false, "nothing"],
    [35_000, 0, 25_000, far, false, "heartbeat-lost"],
    // answered: silence begins anew
    [35_000, 25_000, 25_000, far, false, "nothing"],
    [50_000, 25_100, 25_000, far, false, "nothing"],
    [50_100, 25_100, 25_000, far, false, "ping"],
    // the token's end
    [far - 60_001, far - 60_001, 0, far, false, "nothing"],
    [far - 60_000, far - 60_000, 0, far, false, "expiring"],
    [far - 60_000, far - 60_000, 0, far, true, "nothing"],
    [far - 1, far - 1, 0, far, true, "nothing"],
    [far, far, 0, far, true, "token-expired"],
    [far, 0, 25_000, far, false, "token-expired"],
    // asking comes first, telling at the next sweep, also while the answer is awaited
    [far - 60_000, far - 90_000, 0, far, false, "ping"],
    [far - 59_000, far - 90_000, far - 60_000, far, false, "expiring"],
    // a token for less than a minute
    [0, 0, 0, 30_000, false, "expiring"],
  ] as const)(
    "at %s, last input %s, pinged %s, expires %s, told %s: %s",
    (nowMs, lastInputMs, pingedMs, expiresAtMs, told, verdict) => {
      const connection = connected(expiresAtMs);
      connection.lastInputMs = lastInputMs;
      connection.pingedMs = pingedMs;
      connection.expiringSent = told;
      expect(sweepVerdict(connection, limits, nowMs)).toBe(verdict);
    },
  );
});

test.each([
  [5000, "nothing"],
  [14_999, "nothing"],
  [15_000, "auth-timeout"],
  [1_000_000, "auth-timeout"],
])("one that waits since 5,000 for its first token, at %s: %s", (nowMs, verdict) => {
  const connection = new Connection("c", silent, { sendBufferBytes: 1 }, createCounters(), 5000);
  expect(sweepVerdict(connection, limits, nowMs)).toBe(verdict);
  connection.verifying();
  connection.lastInputMs = nowMs;
  expect(sweepVerdict(connection, limits, nowMs)).toBe(verdict);
});

test("one that is closed is left alone", () => {
  const connection = connected(0);
  connection.close(CloseCode.HEARTBEAT_LOST, "");
  expect(sweepVerdict(connection, limits, 1_000_000)).toBe("nothing");
});

test.each([
  [{ heartbeatIntervalMs: 25_000, heartbeatTimeoutMs: 10_000, authTimeoutMs: 10_000 }, 1000],
  [{ heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 400, authTimeoutMs: 2000 }, 100],
  [{ heartbeatIntervalMs: 1, heartbeatTimeoutMs: 1, authTimeoutMs: 1 }, 20],
])("%j is swept every %s ms", (some, intervalMs) => {
  expect(sweepIntervalMs(some)).toBe(intervalMs);
});
