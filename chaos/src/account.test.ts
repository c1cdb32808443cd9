// The account must see each way to lose, repeat and reorder.
import { describe, expect, test } from "vitest";
import { accountFor, type Evidence, type LogRecord } from "./account.ts";
import { createInbox, type Inbox, type Stored } from "./inbox.ts";
import { createLedger, type Ledger } from "./ledger.ts";

/** Three messages of one sender, all acked, stored and shown to one receiver. */
function whole(): { ledger: Ledger; log: LogRecord[]; history: Stored[]; inbox: Inbox; evidence: () => Evidence } {
  const ledger = createLedger(() => 0);
  const ids = [1, 2, 3].map(() => ledger.next("c", "s"));
  for (const id of ids) {
    ledger.tried(id);
    ledger.acked(id);
  }
  const log = ids.map((clientMsgId) => ({ conversationId: "c", clientMsgId }));
  const history = ids.map((clientMsgId, index) => ({ conversationId: "c", seqId: index + 1, clientMsgId }));
  const inbox = createInbox("r", ["c"]);
  return { ledger, log, history, inbox, evidence: () => ({ ledger, log, history, inboxes: [inbox] }) };
}

function show(inbox: Inbox, ...seqIds: readonly number[]): void {
  for (const seqId of seqIds) inbox.frame("c", seqId);
}

test("what is whole has no failure", () => {
  const { inbox, evidence } = whole();
  show(inbox, 1, 2, 3);
  expect(accountFor(evidence())).toMatchObject({
    account: { sent: 3, acked: 3, in_log: 3, delivered: 3, duplicated: 0, out_of_order: 0, missing: 0 },
    failures: [],
  });
});

const cases: readonly {
  readonly name: string;
  readonly happens: (world: ReturnType<typeof whole>) => void;
  readonly account: Partial<ReturnType<typeof accountFor>["account"]>;
  readonly failure?: RegExp;
}[] = [
  {
    name: "an acked message that is not in the log",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.splice(1, 1);
    },
    account: { in_log: 2, missing: 1 },
    failure: /^1 acked and not in the log, the first c\.s\.2$/,
  },
  {
    name: "one that is in the log and was never stored",
    happens: ({ inbox, history }) => {
      show(inbox, 1, 2);
      history.splice(2, 1);
    },
    account: { in_log: 3, missing: 1 },
    failure: /^1 acked, in the log and not in the history/,
  },
  {
    name: "one that was stored twice",
    happens: ({ inbox, history }) => {
      show(inbox, 1, 2, 3, 4);
      history.push({ conversationId: "c", seqId: 4, clientMsgId: "c.s.1" });
    },
    account: { delivered: 4 },
    failure: /^1 stored twice$/,
  },
  {
    name: "two that changed places in the log",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.reverse();
    },
    account: { out_of_order: 2 },
    failure: /^2 out of order in the log/,
  },
  {
    name: "a second copy in the log behind the others",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.push({ conversationId: "c", clientMsgId: "c.s.1" });
    },
    account: { duplicated: 1, out_of_order: 0 },
  },
  {
    name: "one that was refused, and stands where it was sent again",
    happens: ({ inbox, log, ledger }) => {
      show(inbox, 1, 2, 3);
      ledger.refused("c.s.1");
      log.push(...log.splice(0, 1));
    },
    account: { out_of_order: 0 },
  },
  {
    name: "a frame that never came",
    happens: ({ inbox }) => show(inbox, 1, 3),
    account: { delivered: 2, missing: 1 },
    failure: /^1 never reached a receiver and it was not told, the first c 2 of r$/,
  },
  {
    name: "a frame that came twice",
    happens: ({ inbox }) => show(inbox, 1, 2, 2, 3, 1),
    account: { delivered: 3, duplicated: 2, out_of_order: 0 },
  },
  {
    name: "a frame that came after a later one",
    happens: ({ inbox }) => show(inbox, 1, 3, 2),
    account: { delivered: 3, out_of_order: 1 },
    failure: /^1 shown out of order$/,
  },
  {
    name: "a resume whose messages come behind a live one",
    happens: ({ inbox }) => {
      show(inbox, 1);
      inbox.connected(true);
      show(inbox, 3, 2, 3);
      inbox.resumed();
    },
    account: { delivered: 3, out_of_order: 0, missing: 0, duplicated: 1 },
  },
  {
    name: "a resume that was answered in the wrong order",
    happens: ({ inbox }) => {
      inbox.connected(true);
      show(inbox, 3, 1, 2);
      inbox.resumed();
    },
    account: { delivered: 3, out_of_order: 1, missing: 0 },
    failure: /^1 shown out of order$/,
  },
  {
    name: "a gap that a later resync-required, for something else, fills",
    happens: ({ inbox }) => {
      inbox.begin();
      show(inbox, 1, 3);
      inbox.hold();
      inbox.fill("c", [1, 2, 3]);
      inbox.resumed();
    },
    account: { delivered: 3, missing: 0 },
    failure: /^1 silent gaps/,
  },
  {
    name: "a gap of which it was told before",
    happens: ({ inbox }) => {
      inbox.begin();
      show(inbox, 1);
      inbox.hold();
      show(inbox, 3);
      inbox.fill("c", [1, 2]);
      inbox.resumed();
    },
    account: { delivered: 3, missing: 0 },
  },
  {
    name: "a frame of a conversation that the receiver is not in",
    happens: ({ inbox }) => {
      show(inbox, 1, 2, 3);
      inbox.frame("other", 1);
    },
    account: { delivered: 3 },
    failure: /^1 frames of a conversation that the receiver is not in$/,
  },
  {
    name: "a record under another key",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.splice(1, 1, { conversationId: "d", clientMsgId: "c.s.2" });
    },
    account: { delivered: 3 },
    failure: /^1 under another key than their conversation, the first c\.s\.2$/,
  },
  {
    name: "what was fetched after resync-required",
    happens: ({ inbox }) => {
      show(inbox, 1);
      inbox.fill("c", [2, 3]);
      show(inbox, 3);
    },
    account: { delivered: 3, duplicated: 1, missing: 0 },
  },
];

test.each(cases)("$name", ({ happens, account, failure }) => {
  const world = whole();
  happens(world);
  const result = accountFor(world.evidence());
  expect(result.account).toMatchObject(account);
  expect(result.failures).toEqual(failure === undefined ? [] : [expect.stringMatching(failure)]);
});

describe("the ledger", () => {
  test("measures stalls from the last ack while something waited, and answers from each try", () => {
    let nowMs = 1000;
    const ledger = createLedger(() => nowMs);
    const [first, second] = [ledger.next("c", "s"), ledger.next("c", "s")];
    ledger.tried(first);
    ledger.tried(second);
    nowMs += 300;
    ledger.acked(first);
    nowMs += 400;
    ledger.refused(second);
    expect(ledger.unanswered()).toEqual({ count: 0, oldestMs: 0 });
    nowMs += 1000;
    ledger.tried(second);
    nowMs += 100;
    expect(ledger.unanswered()).toEqual({ count: 1, oldestMs: 100 });
    expect(ledger.pending).toBe(1);
    ledger.acked(second);
    expect(ledger).toMatchObject({ pending: 0, longestStallMs: 1500, slowestAnswerMs: 700 });
    nowMs += 5000;
    const third = ledger.next("c", "s");
    ledger.tried(third);
    nowMs += 10;
    ledger.acked(third);
    expect(ledger.longestStallMs).toBe(1500);
  });
});
