// What was kept for a user of whom more than one connection comes back.
import { expect, test } from "vitest";
import type { Socket } from "../adapters.ts";
import { Connection } from "../connection.ts";
import { createCounters } from "../counters.ts";
import { createHeld } from "./held.ts";

const frame = (text: string) => ({ text, lossy: false, prepared: undefined });

test("a connection that goes before it got what was kept leaves it to the next one, also while another is here", () => {
  let nowMs = 0;
  const sent: string[] = [];
  const counters = createCounters();
  const held = createHeld({
    turn: { send: ({ id }, { text }) => sent.push(`${id} ${text}`) > 0 },
    counters,
    limits: { resumeWindowMs: 60_000, sendBufferBytes: 1000 },
    now: () => nowMs,
  });
  const socket: Socket = { bufferedBytes: 0, write: () => 0, ping: () => {}, close: () => {} };
  const connection = (id: string): Connection => new Connection(id, socket, { sendBufferBytes: 1000 }, counters, nowMs);
  const [first, other, next] = [connection("first"), connection("other"), connection("next")];
  held.ring.started();
  held.keep(["alice"], "new-message", undefined, () => frame("kept"));
  held.arrived(first, "alice");
  held.arrived(other, "alice");
  held.left(first, "alice", false);
  nowMs += 1000;
  held.arrived(next, "alice");
  held.heard(next);
  expect(sent).toEqual(["next kept"]);
  held.left(next, "alice", false);
  held.left(other, "alice", true);
  nowMs += 59_000;
  expect(held.keep(["alice"], "new-message", undefined, () => frame("later"))).toBe(1);
  held.stop();
});

test("what all connections together hold is bounded: a resume that holds more is told", () => {
  const counters = createCounters();
  const closings: boolean[] = [];
  const held = createHeld({
    turn: { send: () => true },
    counters,
    limits: { resumeWindowMs: 0, sendBufferBytes: 40 * 1024 * 1024 },
    now: () => 0,
  });
  const socket: Socket = { bufferedBytes: 0, write: () => 0, ping: () => {}, close: () => {} };
  const connections = ["a", "b"].map((id) => new Connection(id, socket, { sendBufferBytes: 1 }, counters, 0));
  const large = frame("x".repeat(36 * 1024 * 1024));
  const settle = (connection: Connection): void => {
    const closing = (overflowed: boolean) => {
      closings.push(overflowed);
      return { case: "pong", value: {} } as const;
    };
    held.settle(connection, { messageId: "", closing, through: new Map(), changed: new Map(), keptFirst: false });
  };
  for (const connection of connections) {
    held.hold(connection);
    held.send(connection, large, { conversationId: "c", seqId: 1n });
  }
  connections.forEach(settle);
  for (const connection of connections.slice(0, 1)) {
    held.hold(connection);
    held.send(connection, large, { conversationId: "c", seqId: 2n });
    settle(connection);
  }
  expect(closings).toEqual([false, true, false]);
  held.stop();
});
