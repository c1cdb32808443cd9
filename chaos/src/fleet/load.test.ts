// What is wrong with a delivery, even when it was mended later.
import { expect, test } from "vitest";
import { Inbox } from "./inbox.ts";
import { complaints, type Delivery, straysOf } from "./load.ts";

const whole: Delivery = {
  sent: 5,
  acked: 5,
  inLog: 5,
  logCopies: 0,
  stored: 5,
  lost: 0,
  storedTwice: 0,
  expected: 5,
  shown: 5,
  missing: 0,
  shownTwice: 0,
  outOfOrder: 0,
  duplicateFrames: 0,
  gaps: 0,
  disordered: 0,
  strays: 0,
};

test("repeats on the wire and in the log are no complaint", () => {
  expect(complaints({ ...whole, duplicateFrames: 3, logCopies: 2 })).toEqual([]);
});

test.each(["lost", "storedTwice", "missing", "shownTwice", "outOfOrder", "gaps", "disordered", "strays"] as const)(
  "%s is a complaint",
  (name) => {
    expect(complaints({ ...whole, [name]: 2 })).toEqual([`${name} 2`]);
  },
);

test("a silent gap that a later resume fills stays a complaint", () => {
  const inbox = new Inbox();
  for (const seqId of [1, 2, 4, 5]) inbox.take({ conversationId: "c", seqId, content: undefined }, false);
  inbox.take({ conversationId: "c", seqId: 3, content: undefined }, true);
  expect(inbox.cursor("c")).toBe(5);
  expect(complaints({ ...whole, gaps: inbox.gaps })).toEqual(["gaps 2"]);
});

test("a frame of a conversation that the device is not in is a stray", () => {
  const [one, other] = [{ inbox: new Inbox() }, { inbox: new Inbox() }];
  const groups = [
    { conversationId: "c", clients: [one, other] },
    { conversationId: "d", clients: [other] },
  ];
  for (const { inbox } of [one, other]) inbox.take({ conversationId: "c", seqId: 1, content: "" }, false);
  other.inbox.take({ conversationId: "d", seqId: 1, content: "" }, false);
  expect(straysOf(groups)).toBe(0);
  one.inbox.take({ conversationId: "d", seqId: 1, content: "" }, false);
  expect(straysOf(groups)).toBe(1);
});
