// Nothing stays behind: gates and kept frames go with the connection, or with time.
import { expect, test } from "vitest";
import { Connection } from "../connection.ts";
import { createCounters } from "../counters.ts";
import { createHeld, type Settlement } from "./held.ts";

const frame = { text: "{}", lossy: false, prepared: undefined };
const socket = { bufferedBytes: 0, write: () => 0, ping() {}, close() {} };

test("gates are opened for who needs one, and are gone with the connection or ten seconds after the answer", () => {
  let nowMs = 1_000_000;
  const counters = createCounters();
  const sent: string[] = [];
  const turn = { send: ({ id }: Connection) => sent.push(id) > 0 };
  const held = createHeld({
    turn,
    counters,
    limits: { resumeWindowMs: 60_000, sendBufferBytes: 1000 },
    now: () => nowMs,
  });
  const open = (id: string): Connection => new Connection(id, socket, { sendBufferBytes: 1000 }, counters, nowMs);
  const settlement: Settlement = {
    messageId: "",
    closing: () => ({ case: "resumed", value: {} }),
    through: new Map(),
    changed: new Map([["c", 7n]]),
    keptFirst: false,
  };

  const [plain, resumes, leaves] = [open("plain"), open("resumes"), open("leaves")];
  held.arrived(plain, "a");
  expect([held.send(plain, frame), held.gates]).toEqual([true, 0]);
  expect([held.hold(resumes), held.hold(resumes), held.hold(leaves), held.gates]).toEqual([[], undefined, [], 2]);
  held.send(resumes, frame);
  held.left(leaves, "b", true);
  expect([held.gates, held.ring.users]).toEqual([1, 1]);
  held.settle(resumes, settlement);
  held.settle(resumes, settlement);
  expect(sent).toEqual(["plain", "resumes", "resumes"]);
  nowMs += 9_999;
  held.sweep();
  held.send(resumes, frame, { conversationId: "c", seqId: 7n });
  expect([held.gates, sent.length]).toEqual([1, 3]);
  nowMs += 1;
  held.sweep();
  expect([held.gates, resumes.gate]).toEqual([0, undefined]);

  expect(held.keep(["b", "stranger"], "new-message", undefined, () => frame)).toBe(2);
  const back = open("back");
  held.arrived(back, "b");
  held.left(back, "b", true);
  expect([held.gates, held.ring.users]).toEqual([0, 2]);
  nowMs += 60_000;
  held.sweep();
  held.stop();
  expect([held.gates, held.ring.users, held.ring.bytes]).toEqual([0, 0, 0]);
});
