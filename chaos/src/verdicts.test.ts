// A connection's end is neither an answer to a send nor a socket that stays.
import { expect, test } from "vitest";
import { createLedger } from "./ledger.ts";
import { lostSockets, unanswered } from "./verdicts.ts";

test("a try whose connection ended is not answered, one that was answered before is", () => {
  const ledger = createLedger(() => 0);
  const [first, second] = [ledger.next("c", "s"), ledger.next("c", "s")];
  ledger.tried(first);
  ledger.acked(first);
  ledger.abandoned(first);
  expect(unanswered(ledger)).toEqual([]);
  ledger.tried(second);
  ledger.abandoned(second);
  ledger.tried(second);
  ledger.acked(second);
  expect(unanswered(ledger)).toEqual([expect.stringMatching(/^1 sends were not answered/)]);
});

test("a socket that was lost is named with its code", () => {
  expect(lostSockets([{ disconnects: [] }])).toEqual([]);
  expect(lostSockets([{ disconnects: [] }, { disconnects: [{ code: 1006, atMs: 0 }] }])).toEqual([
    "1 of 2 sockets were lost, by 1006",
  ]);
});
