// A steady load of numbered messages over a fleet's sockets, and the exact account of it at the end.
import { waitFor } from "@im-gateway/tools/process";
import type { Ack, Client } from "./fleet.ts";
import { history } from "./sync.ts";

/** Who talks with whom. */
export interface Group {
  readonly conversationId: string;
  /** All devices of all members. */
  readonly clients: readonly Client[];
}

export interface LoadOptions {
  readonly groups: readonly Group[];
  readonly messagesPerSecond: number;
  /** By `performance.now`. */
  readonly onSend?: (content: string, atMs: number) => void;
}

export interface Load {
  readonly sent: number;
  /** Passed on by the fleet. */
  onAck(ack: Ack): void;
  /** Ends the sending, and waits until every message is answered with an ack. */
  stop(timeoutMs: number): Promise<void>;
  /** By content. */
  readonly acked: ReadonlyMap<string, Ack>;
  /** The longest that a message took from its first sending to its ack, repetitions included. */
  readonly longestAckMs: number;
}

const tickMs = 20;

/** The fleet is created with the load's `onAck` before there are groups: they are set here, where the sending begins. */
export function createLoad(): Load & { start(options: LoadOptions): void } {
  const acked = new Map<string, Ack>();
  let sent = 0;
  let longestAckMs = 0;
  let timer: NodeJS.Timeout | undefined;
  return {
    acked,
    get sent() {
      return sent;
    },
    get longestAckMs() {
      return longestAckMs;
    },
    onAck(ack) {
      acked.set(ack.content, ack);
      longestAckMs = Math.max(longestAckMs, ack.tookMs);
    },
    start({ groups, messagesPerSecond, onSend }) {
      const beganMs = performance.now();
      const before = sent;
      timer = setInterval(() => {
        const due = before + Math.floor(((performance.now() - beganMs) / 1000) * messagesPerSecond);
        for (; sent < due; sent += 1) {
          const group = groups[sent % groups.length];
          onSend?.(String(sent), performance.now());
          // One sender a conversation: its messages have one order, whatever happens.
          group?.clients[0]?.say(group.conversationId, String(sent));
        }
      }, tickMs);
    },
    async stop(timeoutMs) {
      clearInterval(timer);
      await waitFor(() => acked.size === sent, {
        timeoutMs,
        what: () => `every message to be acked: ${sent - acked.size} of ${sent} are not`,
      });
    },
  };
}

/** Where the upstream topic can be read. */
export interface UpstreamLog {
  /** client_msg_id of every record. */
  upstream(): Promise<readonly string[]>;
}

export interface Delivery {
  readonly sent: number;
  readonly acked: number;
  /** Of those acked. */
  readonly inLog: number;
  /** Records of one message beyond its first. */
  readonly logCopies: number;
  /** In im-logic's history. */
  readonly stored: number;
  /** Acked, and not in the log or not in the history: must be 0. */
  readonly lost: number;
  /** In the history twice: each is shown twice. */
  readonly storedTwice: number;
  /** What devices were to show, and what they showed. */
  readonly expected: number;
  readonly shown: number;
  readonly missing: number;
  /** The same content shown twice by a device. */
  readonly shownTwice: number;
  /** Messages that are stored before one that their sender sent earlier, of those that the sender had to send once only. */
  readonly outOfOrder: number;
  /** Frames that brought what was there: the wire delivers at least once. */
  readonly duplicateFrames: number;
  /** Frames beyond a gap while nothing was being resumed: what a client without gap fill would have shown too early. */
  readonly gaps: number;
  /** Answers to resume that were whole and not in order. */
  readonly disordered: number;
  /** Conversations from which a device was sent something and that it is not in. */
  readonly strays: number;
}

/** Waits until every device shows all that is stored, at most `timeoutMs`, and counts. @param port of a gateway that answers REST */
export async function deliveryOf(
  load: Load,
  groups: readonly Group[],
  log: UpstreamLog,
  port: number,
  timeoutMs: number,
): Promise<Delivery> {
  const readAll = async (): Promise<Map<string, string[]>> => {
    const read = new Map<string, string[]>();
    for (const { conversationId, clients } of groups) {
      read.set(conversationId, await history(port, clients[0]?.device.token ?? "", conversationId));
    }
    return read;
  };
  let histories = await readAll();
  // im-logic may still be at what the log has.
  const untilMs = performance.now() + timeoutMs;
  while (lacksAcked(load, histories) && performance.now() < untilMs) histories = await readAll();
  const contents = [...histories.values()].flat();
  const stored = new Set(contents);
  const lengthOf = (group: Group): number => histories.get(group.conversationId)?.length ?? 0;
  const missing = (): number =>
    groups.reduce(
      (sum, group) =>
        sum + group.clients.reduce((lack, { inbox }) => lack + lengthOf(group) - inbox.cursor(group.conversationId), 0),
      0,
    );
  const late = await waitFor(() => missing() === 0, { timeoutMs, what: "all to be shown" }).then(
    () => undefined,
    (error: unknown) => error,
  );
  let shown = 0;
  let shownTwice = 0;
  let outOfOrder = 0;
  for (const { conversationId, clients } of groups) {
    for (const { inbox } of clients) {
      const list = inbox.shown(conversationId);
      shown += list.length;
      const seen = list.flatMap(({ content }) => (content === undefined ? [] : [content]));
      shownTwice += seen.length - new Set(seen).size;
    }
  }
  for (const contentsOfOne of histories.values()) {
    const numbers = contentsOfOne.filter((content) => load.acked.get(content)?.sendings === 1).map(Number);
    outOfOrder += numbers.filter((number, index) => number < (numbers[index - 1] ?? -1)).length;
  }
  const copies = new Map<string, number>();
  for (const id of await log.upstream()) copies.set(id, (copies.get(id) ?? 0) + 1);
  const acked = [...load.acked.values()];
  const clients = [...new Set(groups.flatMap((group) => group.clients))];
  return {
    sent: load.sent,
    acked: acked.length,
    inLog: acked.filter(({ clientMsgId }) => copies.has(clientMsgId)).length,
    logCopies: acked.reduce((sum, { clientMsgId }) => sum + Math.max((copies.get(clientMsgId) ?? 0) - 1, 0), 0),
    stored: contents.length,
    lost: acked.filter(({ clientMsgId, content }) => !copies.has(clientMsgId) || !stored.has(content)).length,
    storedTwice: contents.length - stored.size,
    expected: groups.reduce((sum, group) => sum + lengthOf(group) * group.clients.length, 0),
    shown,
    missing: late === undefined ? 0 : missing(),
    shownTwice,
    outOfOrder,
    duplicateFrames: clients.reduce((sum, { inbox }) => sum + inbox.duplicates, 0),
    gaps: clients.reduce((sum, { inbox }) => sum + inbox.gaps, 0),
    disordered: clients.reduce((sum, { inbox }) => sum + inbox.disordered, 0),
    strays: straysOf(groups),
  };
}

/** @param groups all that their clients are in */
export function straysOf(
  groups: readonly { readonly conversationId: string; readonly clients: readonly Pick<Client, "inbox">[] }[],
): number {
  const own = new Map<Pick<Client, "inbox">, Set<string>>();
  for (const { conversationId, clients } of groups) {
    for (const client of clients) own.set(client, (own.get(client) ?? new Set()).add(conversationId));
  }
  return [...own].reduce(
    (sum, [{ inbox }, ids]) => sum + Object.keys(inbox.cursors()).filter((id) => !ids.has(id)).length,
    0,
  );
}

function lacksAcked(load: Load, histories: ReadonlyMap<string, readonly string[]>): boolean {
  const stored = new Set([...histories.values()].flat());
  return [...load.acked.keys()].some((content) => !stored.has(content));
}

/** What must hold in every scenario; empty where it does. */
export function complaints(delivery: Delivery): readonly string[] {
  const { acked, sent } = delivery;
  const wrong = [
    ...(acked === sent ? [] : [`${sent - acked} messages were never acked`]),
    // A gap that was healed later was silent all the same: whoever had asked just then would have been told nothing.
    ...(["lost", "storedTwice", "missing", "shownTwice", "outOfOrder", "gaps", "disordered", "strays"] as const)
      .filter((name) => delivery[name] !== 0)
      .map((name) => `${name} ${delivery[name]}`),
  ];
  return wrong;
}
