// What a device shows of what comes, in whatever order that is.
import { expect, test } from "vitest";
import { busiestSecond } from "./crowd.ts";
import { Inbox } from "./inbox.ts";

test.each([
  // seq_ids as they come (those of a resume are negative) → shown, duplicates, gaps
  [[1, 2, 3], [1, 2, 3], 0, 0],
  [[1, 1, 2, 1], [1, 2], 2, 0],
  [[1, 3, 2], [1, 2, 3], 0, 1],
  [[1, 3, 3], [1], 1, 1],
  [[1, -3, -2, 4], [1, 2, 3, 4], 0, 0],
  [[1, -5, -2, 3, 4], [1, 2, 3, 4, 5], 0, 0],
])("%j: shows %j, with %s duplicates and %s gaps", (come, shown, duplicates, gaps) => {
  const inbox = new Inbox();
  for (const seq of come)
    inbox.take({ conversationId: "c", seqId: Math.abs(seq), content: `${Math.abs(seq)}` }, seq < 0);
  expect(inbox.shown("c").map(({ seqId, content }) => [seqId, content])).toEqual(shown.map((seq) => [seq, `${seq}`]));
  expect(inbox.cursors()).toEqual({ c: shown.length });
  expect([inbox.duplicates, inbox.gaps]).toEqual([duplicates, gaps]);
});

test.each([
  [[], 0],
  [[0, 1000, 2000, 3000], 0.25],
  [[0, 999, 2000, 3000], 0.5],
  [[3000, 2600, 2500, 0], 0.75],
])("of %j the busiest second has %s", (times, part) => {
  expect(busiestSecond(times)).toBe(part);
});
