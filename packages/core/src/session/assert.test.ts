// Connections are told to im-logic anew, while they come and go.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Socket } from "../adapters.ts";
import { createCounters } from "../counters.ts";
import { createHub } from "../hub.ts";
import { defaultWebSocketLimits } from "../options.ts";
import { type Connections, createConnections } from "./connections.ts";
import { createUserEvents } from "./user-events.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout"] }));
afterEach(() => void vi.useRealTimers());

interface Told {
  readonly event: string;
  readonly connection_id: string;
  readonly seq: number;
}

const silent: Socket = { bufferedBytes: 0, write: () => 0, ping: () => {}, close: () => {} };

function start(): { connections: Connections; told: Told[] } {
  const told: Told[] = [];
  const log = (): void => {};
  const now = (): number => 0;
  const counters = createCounters();
  const send = async ({ value }: { readonly value: string | Uint8Array }): Promise<void> =>
    void told.push(JSON.parse(String(value)));
  const epoch = (): number => 1;
  const userEvents = createUserEvents({ send, topic: "user-events", gatewayId: "g1", epoch, counters, log, now });
  const connections = createConnections({
    gatewayId: "g1",
    hub: createHub(),
    userEvents,
    verifyToken: () => Promise.reject(new Error("nobody sends a token")),
    limits: defaultWebSocketLimits,
    counters,
    defer: undefined,
    log,
    now,
  });
  return { connections, told };
}

const identity = { userId: "u", deviceId: "d", sessionId: "", expiresAtMs: 1e12 };

test("every connection is told once more, in slices; one that ends meanwhile has ended for good", async () => {
  const { connections, told } = start();
  const all = Array.from({ length: 3500 }, () => connections.open(silent, identity));
  connections.open(silent, undefined);
  await vi.advanceTimersByTimeAsync(0);
  const before = told.splice(0).length;
  connections.assert();
  const leaving = all.at(-1);
  const left = all.at(0);
  await Promise.resolve();
  const inFirstTurn = new Set(all.filter(({ eventSeq }) => eventSeq > before)).size;
  for (const connection of [leaving, left]) {
    if (connection !== undefined) {
      connections.departed(connection, "gone");
    }
  }
  await vi.advanceTimersByTimeAsync(10);
  expect([before, inFirstTurn]).toEqual([3500, 1000]);
  const last = new Map<string, Told>();
  for (const event of told.toSorted((one, other) => one.seq - other.seq)) {
    last.set(event.connection_id, event);
  }
  expect(
    [...last.values()].filter(({ event }) => event === "disconnected").map((event) => event.connection_id),
  ).toEqual([left?.id, leaving?.id]);
  expect([...last.values()].filter(({ event }) => event === "connected")).toHaveLength(3498);
  expect(new Set(told.map(({ seq }) => seq)).size).toBe(told.length);
  expect(all.slice(1, -1).every(({ id, eventSeq }) => last.get(id)?.seq === eventSeq)).toBe(true);
});

test("asked again while it runs, it tells everybody after that, too", async () => {
  const { connections, told } = start();
  const all = Array.from({ length: 1500 }, () => connections.open(silent, identity));
  connections.assert();
  const seqWhenAsked = Math.max(...all.map(({ eventSeq }) => eventSeq));
  connections.assert();
  connections.assert();
  await vi.advanceTimersByTimeAsync(20);
  expect(all.every(({ eventSeq }) => eventSeq > seqWhenAsked)).toBe(true);
  expect(Math.max(...told.map(({ seq }) => seq))).toBe(4500);
});
