/** What im-logic has done since it started: plain numbers, read when metrics are scraped. */
export interface Counts {
  /** Upstream messages stored for the first time. */
  storedMessages: number;
  /** Upstream records of a message that was stored before; fanned out again. */
  repeatedMessages: number;
  /** Upstream messages that broke a rule. */
  refusedMessages: number;
  /** Records of `upstream` and `user-events` that could not be read. */
  poisonRecords: number;
  /** Downstream records given up: Kafka refused them for good, or they waited in the outbox too long or with too many. */
  droppedRecords: number;
}

export function createCounts(): Counts {
  return { storedMessages: 0, repeatedMessages: 0, refusedMessages: 0, poisonRecords: 0, droppedRecords: 0 };
}
