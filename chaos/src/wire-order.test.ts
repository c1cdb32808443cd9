// Which orders are legal on the wire of one connection.
import { expect, test } from "vitest";
import { LiveOrder, ResumeAnswer } from "./wire-order.ts";

test.each([
  // cursor, what came before the closing frame → disordered
  [0, [1, 2, 3], false],
  [0, [3, 1, 2], true],
  [1, [3, 2], true],
  [1, [2, 4, 3], true],
  [1, [], false],
  // Live ones come first; the answer has them too.
  [1, [3, 2, 3], false],
  [1, [4, 6, 2, 3, 4, 5, 6], false],
  // Repeats of older ones.
  [2, [1, 3, 2, 4], false],
  // A hole is a gap, not disorder.
  [1, [2, 4], false],
])("a resume from %s answered with %j: disordered %s", (cursor, came, disordered) => {
  const answer = new ResumeAnswer({ c: cursor });
  for (const seqId of came) answer.take("c", seqId);
  expect(answer.disordered("none")).toEqual(disordered ? ["c"] : []);
  expect(answer.disordered([])).toEqual([]);
  expect(answer.disordered(["c"])).toEqual([]);
  expect(answer.disordered(["d"])).toEqual(disordered ? ["c"] : []);
});

test("while the history is read, only what resync-required named may have a gap, and once", () => {
  const order = new LiveOrder({ c: 3, d: 3 }, ["d"]);
  expect([4, 2, 4, 6].map((seqId) => order.take("c", seqId))).toEqual([undefined, undefined, undefined, 4]);
  expect([7, 8, 10].map((seqId) => order.take("d", seqId))).toEqual([undefined, undefined, 8]);
  order.resync([]);
  expect([20, 22].map((seqId) => order.take("c", seqId))).toEqual([undefined, 20]);
});
