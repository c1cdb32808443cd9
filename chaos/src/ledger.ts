// What senders know: which message was sent, tried again, acked or refused, and when.

export interface SentMessage {
  readonly clientMsgId: string;
  readonly conversationId: string;
  readonly sender: string;
  /** From 1, of this sender in this conversation. */
  readonly number: number;
  readonly acked: boolean;
  /** At least once answered with an error. */
  readonly refused: boolean;
}

export interface Ledger {
  /** A new message; its `client_msg_id` names sender and number. */
  next(conversationId: string, sender: string): string;
  /** It went out (once more). */
  tried(clientMsgId: string): void;
  acked(clientMsgId: string): void;
  refused(clientMsgId: string): void;
  /** Its connection ended before an answer came. */
  abandoned(clientMsgId: string): void;
  find(clientMsgId: string): SentMessage | undefined;
  messages(): readonly SentMessage[];
  /** Sent and not acked. */
  readonly pending: number;
  /** When a message of the conversation was acked last; 0: never. */
  lastAckMs(conversationId: string): number;
  /** The longest time without an ack in a conversation that waited for one. */
  readonly longestStallMs: number;
  /** Tries whose connection ended before an answer came. */
  readonly abandonedTries: number;
  /** From a try to its ack or error. Tries whose connection ended are in `abandonedTries` instead. */
  readonly slowestAnswerMs: number;
  /** Tries that wait for an answer, and since when the oldest does. */
  unanswered(): { readonly count: number; readonly oldestMs: number };
}

interface Entry {
  readonly clientMsgId: string;
  readonly conversationId: string;
  readonly sender: string;
  readonly number: number;
  readonly sentMs: number;
  acked: boolean;
  refused: boolean;
  /** Of the try that waits for an answer. */
  triedMs: number | undefined;
}

interface Lane {
  /** By client_msg_id, the oldest first. */
  readonly pending: Map<string, Entry>;
  lastAckMs: number;
}

export function createLedger(now: () => number = () => performance.now()): Ledger {
  const entries = new Map<string, Entry>();
  const numbers = new Map<string, number>();
  const lanes = new Map<string, Lane>();
  const waiting = new Set<Entry>();
  let pending = 0;
  let longestStallMs = 0;
  let slowestAnswerMs = 0;
  let abandonedTries = 0;

  const laneOf = (conversationId: string): Lane => {
    const lane = lanes.get(conversationId) ?? { pending: new Map(), lastAckMs: 0 };
    lanes.set(conversationId, lane);
    return lane;
  };
  const answered = (entry: Entry): void => {
    if (entry.triedMs !== undefined) slowestAnswerMs = Math.max(slowestAnswerMs, now() - entry.triedMs);
    entry.triedMs = undefined;
    waiting.delete(entry);
  };
  const known = (clientMsgId: string): Entry => {
    const entry = entries.get(clientMsgId);
    if (entry === undefined) throw new Error(`nobody sent ${clientMsgId}`);
    return entry;
  };

  return {
    next(conversationId, sender) {
      const key = `${sender} ${conversationId}`;
      const number = (numbers.get(key) ?? 0) + 1;
      numbers.set(key, number);
      const clientMsgId = `${conversationId}.${sender}.${number}`;
      const entry: Entry = {
        clientMsgId,
        conversationId,
        sender,
        number,
        sentMs: now(),
        acked: false,
        refused: false,
        triedMs: undefined,
      };
      entries.set(clientMsgId, entry);
      laneOf(conversationId).pending.set(clientMsgId, entry);
      pending += 1;
      return clientMsgId;
    },
    tried(clientMsgId) {
      const entry = known(clientMsgId);
      entry.triedMs = now();
      waiting.add(entry);
    },
    acked(clientMsgId) {
      const entry = known(clientMsgId);
      answered(entry);
      if (entry.acked) return;
      entry.acked = true;
      pending -= 1;
      const lane = laneOf(entry.conversationId);
      const [oldest] = lane.pending.values();
      longestStallMs = Math.max(longestStallMs, now() - Math.max(lane.lastAckMs, oldest?.sentMs ?? 0));
      lane.lastAckMs = now();
      lane.pending.delete(clientMsgId);
    },
    refused(clientMsgId) {
      const entry = known(clientMsgId);
      answered(entry);
      entry.refused = true;
    },
    abandoned(clientMsgId) {
      const entry = known(clientMsgId);
      if (entry.triedMs !== undefined) abandonedTries += 1;
      entry.triedMs = undefined;
      waiting.delete(entry);
    },
    find: (clientMsgId) => entries.get(clientMsgId),
    messages: () => [...entries.values()],
    get pending() {
      return pending;
    },
    lastAckMs: (conversationId) => lanes.get(conversationId)?.lastAckMs ?? 0,
    get longestStallMs() {
      return longestStallMs;
    },
    get abandonedTries() {
      return abandonedTries;
    },
    get slowestAnswerMs() {
      return slowestAnswerMs;
    },
    unanswered() {
      const times = [...waiting].map(({ triedMs }) => now() - (triedMs ?? now()));
      return { count: times.length, oldestMs: Math.max(0, ...times) };
    },
  };
}
