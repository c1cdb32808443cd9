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

/** A new connection, whose resume is answered by these and `resumed`. */
function resume(inbox: Inbox, ...seqIds: readonly number[]): void {
  inbox.connected(true);
  show(inbox, ...seqIds);
  inbox.answered("none");
  inbox.resumed();
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
  readonly failures?: readonly RegExp[];
}[] = [
  {
    name: "an acked message that is not in the log",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.splice(1, 1);
    },
    account: { in_log: 2, missing: 1 },
    failures: [/^1 acked and not in the log, the first c\.s\.2$/],
  },
  {
    name: "one that is in the log and was never stored",
    happens: ({ inbox, history }) => {
      show(inbox, 1, 2);
      history.splice(2, 1);
    },
    account: { in_log: 3, missing: 1 },
    failures: [/^1 acked, in the log and not in the history/],
  },
  {
    name: "one that was stored twice",
    happens: ({ inbox, history }) => {
      show(inbox, 1, 2, 3, 4);
      history.push({ conversationId: "c", seqId: 4, clientMsgId: "c.s.1" });
    },
    account: { delivered: 4 },
    failures: [/^1 stored twice$/],
  },
  {
    name: "two that changed places in the log",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.reverse();
    },
    account: { out_of_order: 2 },
    failures: [/^2 out of order in the log/],
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
    failures: [
      /^1 never reached a receiver and it was not told, the first c 2 of r$/,
      /^1 silent gaps .*, the first c 3 after 1 of r$/,
    ],
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
    failures: [/^1 shown out of order$/, /^1 silent gaps/],
  },
  {
    name: "a silent gap that a later fetch fills",
    happens: ({ inbox }) => {
      show(inbox, 1, 3);
      inbox.hold([]);
      inbox.fill("c", [2, 3]);
      inbox.resumed();
    },
    account: { delivered: 3, out_of_order: 0, missing: 0 },
    failures: [/^1 silent gaps .*, the first c 3 after 1 of r$/],
  },
  {
    name: "a silent gap that a later resume fills",
    happens: ({ inbox }) => {
      show(inbox, 1, 3);
      resume(inbox, 2, 3);
    },
    account: { delivered: 3, missing: 0 },
    // What a resume brings late came after a later one as well.
    failures: [/^1 shown out of order$/, /^1 silent gaps/],
  },
  {
    name: "a gap of which resync-required had told",
    happens: ({ inbox }) => {
      show(inbox, 1);
      inbox.hold(["c"]);
      show(inbox, 3);
      inbox.fill("c", [2, 3]);
      inbox.resumed();
    },
    account: { delivered: 3, missing: 0 },
  },
  {
    name: "a gap while the history of another conversation is read",
    happens: ({ inbox }) => {
      show(inbox, 1);
      inbox.hold(["d"]);
      show(inbox, 3);
      inbox.fill("c", [2, 3]);
      inbox.resumed();
    },
    account: { delivered: 3, missing: 0 },
    failures: [/^1 silent gaps/],
  },
  {
    name: "a resume that says that it is whole and is not",
    happens: ({ inbox }) => {
      show(inbox, 1);
      resume(inbox, 3);
      inbox.hold([]);
      inbox.fill("c", [2]);
      inbox.resumed();
    },
    account: { delivered: 3, missing: 0 },
    failures: [/^1 silent gaps/],
  },
  {
    name: "a resume whose messages come behind a live one",
    happens: ({ inbox }) => {
      show(inbox, 1);
      resume(inbox, 3, 2, 3);
    },
    account: { delivered: 3, duplicated: 1, out_of_order: 0, missing: 0 },
  },
  {
    name: "a resume that is answered in another order",
    happens: ({ inbox }) => resume(inbox, 3, 1, 2),
    account: { delivered: 3, out_of_order: 1, missing: 0 },
    failures: [/^1 shown out of order$/],
  },
  {
    name: "a record under the key of another conversation",
    happens: ({ inbox, log }) => {
      show(inbox, 1, 2, 3);
      log.splice(1, 1, { conversationId: "other", clientMsgId: "c.s.2" });
    },
    account: { in_log: 3, missing: 0 },
    failures: [/^1 under another conversation, the first c\.s\.2$/],
  },
  {
    name: "a frame of a conversation that the receiver is not in",
    happens: ({ inbox }) => {
      show(inbox, 1, 2, 3);
      inbox.frame("other", 1);
    },
    account: { delivered: 3 },
    failures: [/^1 shown to somebody who is not in the conversation$/],
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

test.each(cases)("$name", ({ happens, account, failures = [] }) => {
  const world = whole();
  happens(world);
  const result = accountFor(world.evidence());
  expect(result.account).toMatchObject(account);
  expect(result.failures).toEqual(failures.map((failure) => expect.stringMatching(failure)));
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
