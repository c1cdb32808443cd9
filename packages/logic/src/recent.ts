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

const keptMessages = 10_000;
const keptAnswered = 10_000;

export function createRecent(): Recent {
  let messages: RecentMessage[] = [];
  const answered = new Set<number>();
  return {
    add(message) {
      messages.push(message);
      // In large steps, so that a message costs no more than its push.
      if (messages.length >= 2 * keptMessages) {
        messages = messages.slice(-keptMessages);
      }
    },
    answered(routeNo) {
      answered.add(routeNo);
      if (answered.size > keptAnswered) {
        const [oldest = routeNo] = answered;
        answered.delete(oldest);
      }
    },
    missedBy: (routeNo, sinceMs) =>
      answered.has(routeNo)
        ? []
        : messages.filter(({ newestRoute, storedAtMs }) => newestRoute < routeNo && storedAtMs >= sinceMs),
  };
}
