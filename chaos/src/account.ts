// What became of every numbered message: pure bookkeeping over what senders, the log, the history and receivers saw.
import type { Inbox, Stored } from "./inbox.ts";
import type { Ledger } from "./ledger.ts";

/** Of `upstream`, in the order of its partition. */
export interface LogRecord {
  readonly conversationId: string;
  readonly clientMsgId: string;
}

export interface Account {
  /** Messages, each once, however often they were tried. */
  readonly sent: number;
  readonly acked: number;
  /** Of those sent, how many stand in the log. */
  readonly in_log: number;
  /** To all receivers together, each message once a receiver. */
  readonly delivered: number;
  /** Copies beyond the first: records in the log and frames on the wire, which im-logic and receivers drop. */
  readonly duplicated: number;
  /** In the log, and as shown to receivers. */
  readonly out_of_order: number;
  /** Acked and not in the log or not in the history; stored, and neither shown to a receiver nor fetched by it after resync-required. */
  readonly missing: number;
}

export interface Accounted {
  readonly account: Account;
  /** Where the sums come from. */
  readonly further: Readonly<Record<string, number>>;
  /** One line each: lost, silent gap, out of order, shown twice. Empty when all is whole. */
  readonly failures: readonly string[];
}

export interface Evidence {
  readonly ledger: Ledger;
  readonly log: readonly LogRecord[];
  /** Every message of every conversation. */
  readonly history: readonly Stored[];
  readonly inboxes: readonly Inbox[];
}

export function accountFor({ ledger, log, history, inboxes }: Evidence): Accounted {
  const logged = new Map<string, number>();
  for (const { clientMsgId } of log) logged.set(clientMsgId, (logged.get(clientMsgId) ?? 0) + 1);
  const messages = ledger.messages();
  const acked = messages.filter((message) => message.acked);
  const stored = new Set(history.map(({ clientMsgId }) => clientMsgId));
  const inLog = messages.filter(({ clientMsgId }) => logged.has(clientMsgId)).length;
  const lost = acked.filter(({ clientMsgId }) => !logged.has(clientMsgId));
  const notStored = acked.filter(({ clientMsgId }) => logged.has(clientMsgId) && !stored.has(clientMsgId));
  const storedTwice = history.length - stored.size;
  const logCopies = messages.reduce((sum, { clientMsgId }) => sum + Math.max((logged.get(clientMsgId) ?? 0) - 1, 0), 0);
  /** In the log or in the history under another conversation than the one that it was sent to. */
  const misplaced = [...log, ...history].filter(({ clientMsgId, conversationId }) => {
    const message = ledger.find(clientMsgId);
    return message !== undefined && message.conversationId !== conversationId;
  });
  const logInversions = inversions(ledger, log);

  const parts = inboxes.map((inbox) => ({ inbox, ...inbox.compare(history) }));
  const sum = (of: (part: (typeof parts)[number]) => number): number =>
    parts.reduce((total, part) => total + of(part), 0);
  const silent = sum(({ missing }) => missing.length);
  const shownOutOfOrder = sum(({ inbox }) => inbox.outOfOrder);
  const wireCopies = sum(({ inbox }) => inbox.duplicates);
  const gaps = parts.flatMap(({ inbox }) => inbox.gaps.map((gap) => `${gap} of ${inbox.name}`));
  const strays = sum(({ inbox }) => inbox.strays);
  const firstGap = parts.find(({ missing }) => missing.length > 0);

  const failures = [
    ...complaint(lost.length, `acked and not in the log, the first ${lost[0]?.clientMsgId}`),
    ...complaint(notStored.length, `acked, in the log and not in the history, the first ${notStored[0]?.clientMsgId}`),
    ...complaint(storedTwice, "stored twice"),
    ...complaint(misplaced.length, `under another conversation, the first ${misplaced[0]?.clientMsgId}`),
    ...complaint(logInversions.length, `out of order in the log, the first ${logInversions[0]}`),
    ...complaint(
      silent,
      `never reached a receiver and it was not told, the first ${firstGap?.missing[0]} of ${firstGap?.inbox.name}`,
    ),
    ...complaint(shownOutOfOrder, "shown out of order"),
    ...complaint(gaps.length, `silent gaps on a whole connection, healed later or not, the first ${gaps[0]}`),
    ...complaint(strays, "shown to somebody who is not in the conversation"),
  ];
  return {
    account: {
      sent: messages.length,
      acked: acked.length,
      in_log: inLog,
      delivered: sum(({ delivered }) => delivered),
      duplicated: logCopies + wireCopies,
      out_of_order: logInversions.length + shownOutOfOrder,
      missing: lost.length + notStored.length + silent,
    },
    further: {
      "copies in the log": logCopies,
      "copies on the wire": wireCopies,
      "answered with an error, then sent again": messages.filter(({ refused }) => refused).length,
      "fetched after resync-required": sum(({ inbox }) => inbox.fetched),
      "longest ack stall, ms": Math.round(ledger.longestStallMs),
      "slowest answer, ms": Math.round(ledger.slowestAnswerMs),
    },
    failures,
  };
}

/**
 * Of one sender in one conversation, the first copies have to stand in the log as they were sent. A message that was refused and sent again
 * later has no place that could be wrong.
 */
function inversions(ledger: Ledger, log: readonly LogRecord[]): readonly string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const { clientMsgId } of log) {
    const message = ledger.find(clientMsgId);
    if (message === undefined || message.refused || seen.has(clientMsgId)) continue;
    seen.add(clientMsgId);
    const lane = `${message.conversationId} ${message.sender}`;
    if (message.number < (last.get(lane) ?? 0)) found.push(clientMsgId);
    else last.set(lane, message.number);
  }
  return found;
}

function complaint(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}
