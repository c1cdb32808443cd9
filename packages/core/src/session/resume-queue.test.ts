import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { createResumeQueue } from "./resume-queue.ts";

/** Work that ends when the test says so. */
function startWork(queue: ReturnType<typeof createResumeQueue>, wanted: () => boolean = () => true) {
  let end = (): void => {};
  const state = { started: false, outcome: "" };
  const work = (): Promise<void> => {
    state.started = true;
    return new Promise((resolve) => {
      end = resolve;
    });
  };
  const done = queue.run(work, wanted).then(
    () => {
      state.outcome = "done";
    },
    (error: unknown) => {
      state.outcome = error instanceof ConnectError ? (Code[error.code] ?? "") : String(error);
    },
  );
  return { state, end: () => end(), done };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("so many at a time, the others in order; who goes takes no place, and who waits too long is refused", async () => {
  let nowMs = 0;
  const queue = createResumeQueue({ maxRunning: 2, maxWaitMs: 1000, now: () => nowMs });
  let thirdIsHere = true;
  const [first, second, third, fourth, fifth] = [
    startWork(queue),
    startWork(queue),
    startWork(queue, () => thirdIsHere),
    startWork(queue),
    startWork(queue),
  ];
  await turn();
  const all = [first, second, third, fourth, fifth];
  const started = (): boolean[] => all.map(({ state }) => state.started);
  expect(started()).toEqual([true, true, false, false, false]);
  thirdIsHere = false;
  first.end();
  await Promise.all([first.done, third.done]);
  await turn();
  expect(started()).toEqual([true, true, false, true, false]);
  nowMs = 1001;
  second.end();
  await Promise.all([second.done, fifth.done]);
  fourth.end();
  await fourth.done;
  expect(all.map(({ state }) => state.outcome)).toEqual(["done", "done", "Canceled", "done", "ResourceExhausted"]);
  const later = startWork(queue);
  await turn();
  expect(later.state.started).toBe(true);
});

test("work that fails gives its place back", async () => {
  const queue = createResumeQueue({ maxRunning: 1, now: () => 0 });
  await expect(
    queue.run(
      () => Promise.reject(new Error("a fault")),
      () => true,
    ),
  ).rejects.toThrow("a fault");
  await expect(
    queue.run(
      async () => 7,
      () => true,
    ),
  ).resolves.toBe(7);
});
