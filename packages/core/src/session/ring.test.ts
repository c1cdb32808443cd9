import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { createRing, type Kept } from "./ring.ts";

const startMs = 1_000_000;
const frame = (name: string, length = 10): Kept => ({
  frame: { text: name.padEnd(length, " "), lossy: false, prepared: undefined },
  place: undefined,
  type: "new-message",
});
const names = (kept: readonly Kept[] | undefined): string[] => (kept ?? []).map((item) => item.frame.text.trim());

test("the oldest goes first, of one user and of all; who lost something is told", () => {
  const ring = createRing({ windowMs: 1000, maxUserBytes: 1000, maxBytes: 1800, now: () => startMs });
  // 200 and two bytes a character: 400 each.
  for (const name of ["a1", "a2", "a3"]) {
    ring.keep("a", frame(name, 100));
  }
  expect(ring.bytes).toBe(800);
  ring.keep("b", frame("b1", 100));
  ring.keep("b", frame("b2", 100));
  expect(ring.bytes).toBe(1600);
  ring.keep("c", frame("c1", 100));
  const [a, b, c] = ["a", "b", "c"].map((user) => ring.returned(user));
  expect([names(a?.kept), a?.gap]).toEqual([["a3"], true]);
  expect([names(b?.kept), b?.gap]).toEqual([["b1", "b2"], false]);
  expect([names(c?.kept), c?.gap]).toEqual([["c1"], false]);
  expect([ring.users, ring.bytes]).toEqual([0, 0]);
});

test("a user of whom all had to go is told as well", () => {
  const ring = createRing({ windowMs: 1000, maxUserBytes: 1000, maxBytes: 500, now: () => startMs });
  ring.keep("a", frame("a1", 100));
  ring.keep("b", frame("b1", 100));
  expect(ring.returned("a")).toEqual({ kept: [], gap: true });
  ring.keep("c", frame("larger than all", 1000));
  expect(ring.returned("c")).toEqual({ kept: [], gap: true });
});

test("the sweep empties it: who left a window ago, and for whom nothing came since", () => {
  let nowMs = startMs;
  const ring = createRing({ windowMs: 1000, now: () => nowMs });
  ring.left("a");
  ring.left("b");
  nowMs += 999;
  expect([ring.wants("a", "new-message"), ring.wants("a", "typing")]).toEqual([true, false]);
  ring.keep("a", frame("a1"));
  nowMs += 1;
  ring.sweep();
  expect(ring.users).toBe(1);
  expect(ring.wants("a", "new-message")).toBe(false);
  nowMs += 999;
  ring.sweep();
  expect([ring.users, ring.bytes]).toEqual([0, 0]);
});

test("the window of the start runs from when records flow, however long that took", () => {
  let nowMs = startMs;
  const ring = createRing({ windowMs: 1000, now: () => nowMs });
  nowMs += 5000;
  expect(ring.wants("a", "new-message")).toBe(true);
  ring.started();
  nowMs += 999;
  ring.started();
  expect(ring.wants("a", "new-message")).toBe(true);
  nowMs += 1;
  expect(ring.wants("a", "new-message")).toBe(false);
});

test("without a window nothing is kept, whatever it was", () => {
  const ring = createRing({ windowMs: 0, now: () => startMs });
  ring.left("a");
  expect(ring.wants("a", "new-message")).toBe(false);
  ring.restore("a", { kept: [frame("a1")], gap: true });
  expect([ring.users, ring.returned("a")]).toEqual([0, undefined]);
});

test("what comes after the window for one who still has something kept is a gap", () => {
  let nowMs = startMs;
  const ring = createRing({ windowMs: 1000, now: () => nowMs });
  ring.left("a");
  nowMs += 900;
  ring.keep("a", frame("a1"));
  nowMs += 200;
  expect(ring.wants("a", "new-message")).toBe(false);
  expect(ring.returned("a")?.gap).toBe(true);
});

test("a hundred thousand frames of many users stay within the bound, at a cost that does not grow", () => {
  const ring = createRing({ windowMs: 1000, maxBytes: 220 * 1000, now: () => startMs });
  for (let count = 0; count < 100_000; count++) {
    ring.keep(`u${count % 5000}`, frame(`f${count}`));
  }
  expect(ring.bytes).toBe(220 * 1000);
  expect(names(ring.returned("u4999")?.kept)).toEqual(["f99999"]);
  expect(ring.returned("u1")).toEqual({ kept: [], gap: true });
});

test("records are lost while a user is away: told on coming back, also who was not here since the gateway started", () => {
  let nowMs = startMs;
  const ring = createRing({ windowMs: 1000, now: () => nowMs });
  ring.left("here-before");
  ring.lost();
  ring.started();
  expect(ring.returned("here-before")).toEqual({ kept: [], gap: true });
  expect(ring.returned("new")).toEqual({ kept: [], gap: true });
  nowMs += 1000;
  expect(ring.returned("later")).toBeUndefined();
});

test("what was given is let go of, also while something is always kept", () => {
  const ring = createRing({ windowMs: 1000, now: () => startMs });
  let most = 0;
  for (let user = 0; user < 20_000; user += 1) {
    ring.keep(`u${user}`, frame("x", 100));
    // Each is back when ten more have gone.
    expect(names(ring.returned(`u${user - 10}`)?.kept)).toEqual(user < 10 ? [] : ["x"]);
    most = Math.max(most, ring.frames);
  }
  expect(ring.bytes).toBe(10 * 400);
  expect(most).toBeLessThan(1100);
});

test("the text of a frame that was given or put out is not held any more", async () => {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  const ring = createRing({ windowMs: 1000, maxUserBytes: 1000, now: () => startMs });
  const keep = (userId: string, length: number): WeakRef<Kept["frame"]> => {
    const kept = frame("x", length);
    ring.keep(userId, kept);
    return new WeakRef(kept.frame);
  };
  const frames = [keep("given", 100), keep("too large", 1000), keep("stays", 100)];
  ring.returned("given");
  // What a WeakRef was made of lives until the end of the turn.
  await new Promise((resolve) => setImmediate(resolve));
  expect(collect).toBeTypeOf("function");
  if (typeof collect === "function") collect();
  expect(frames.map((held) => held.deref() !== undefined)).toEqual([false, false, true]);
  expect(ring.frames).toBe(3);
});
