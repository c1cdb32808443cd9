// What a fleet's account complains of.
import { expect, test } from "vitest";
import { complaints, type Delivery } from "./load.ts";

const whole: Delivery = {
  sent: 3,
  acked: 3,
  inLog: 3,
  logCopies: 1,
  stored: 3,
  lost: 0,
  storedTwice: 0,
  expected: 6,
  shown: 6,
  missing: 0,
  shownTwice: 0,
  outOfOrder: 0,
  duplicateFrames: 2,
  gaps: 0,
};

test.each<[Partial<Delivery>, readonly string[]]>([
  [{}, []],
  [{ acked: 2 }, ["1 messages were never acked"]],
  [{ lost: 1 }, ["lost 1"]],
  [{ storedTwice: 1 }, ["storedTwice 1"]],
  [{ missing: 1, shown: 5 }, ["missing 1"]],
  [{ shownTwice: 1 }, ["shownTwice 1"]],
  [{ outOfOrder: 1 }, ["outOfOrder 1"]],
  // Filled later, by a reconnect for another reason, it is no less silent.
  [{ gaps: 2 }, ["gaps 2"]],
])("%o", (changes, complained) => {
  expect(complaints({ ...whole, ...changes })).toEqual(complained);
});
