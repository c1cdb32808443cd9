// The messages of the last moments. Between the moment a client connects and the moment im-logic hears of it, messages are stored that are
// not routed to it: they are found here and sent after.

/** A message by its place, and which routes there were when it was fanned out. */
export interface RecentMessage {
  readonly conversationId: string;
  readonly seqId: bigint;
  /** Whose own it is gets message-stored instead. */
  readonly connectionId: string;
  readonly traceId: string;
  /** `Routes.newest` at that time: a route with a higher number did not get it. */
  readonly newestRoute: number;
  readonly storedAtMs: number;
}

export interface Recent {
  add(message: RecentMessage): void;
  /** This route's connection has resumed: what was stored before it was routed to is in the answer. */
  answered(routeNo: number): void;
  /** What was stored since then and was not routed to this route, oldest first; nothing for one that was `answered`. */
  missedBy(routeNo: number, sinceMs: number): RecentMessage[];
}

/** As far back as anybody asks, and how many that may be. */
const keptMs = 65_000;
const maxKept = 200_000;
/** What is too old goes in large steps, so that a message costs no more than its push. */
const stepMessages = 10_000;
const keptAnswered = 10_000;

export function createRecent(): Recent {
  let messages: RecentMessage[] = [];
  let sinceStep = 0;
  const answered = new Set<number>();
  return {
    add(message) {
      messages.push(message);
      sinceStep += 1;
      if (sinceStep >= stepMessages) {
        sinceStep = 0;
        const oldestMs = message.storedAtMs - keptMs;
        messages = messages.slice(-maxKept).filter(({ storedAtMs }) => storedAtMs >= oldestMs);
      }
    },
    answered(routeNo) {
      answered.add(routeNo);
      if (answered.size > keptAnswered) {
        const [oldest = routeNo] = answered;
        answered.delete(oldest);
      }
    },
    missedBy(routeNo, sinceMs) {
      if (answered.has(routeNo)) {
        return [];
      }
      // From the newest on: whoever has just connected asks for little.
      const first = messages.findLastIndex(({ storedAtMs }) => storedAtMs < sinceMs) + 1;
      return messages.slice(first).filter(({ newestRoute }) => newestRoute < routeNo);
    },
  };
}
