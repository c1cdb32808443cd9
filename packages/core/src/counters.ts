// What the gateway counts on its hot paths: plain numbers, which the metrics exporter reads when it is scraped.
import type { Producer } from "./adapters.ts";
import { toConnectError } from "./error-json.ts";
import { reasonOf } from "./errors.ts";

/** The configured role of a topic, never its name: that may have a gateway's id in it. */
export type TopicRole = "upstream" | "downstream" | "user_events" | "dead_letter";

export interface Counters {
  connectionsOpened: number;
  /** By close code: this side's own, or one that RFC 6455 §7.4 and its registry name; "other" is what else a peer closed with. */
  readonly connectionsClosed: Map<number | "other", number>;
  /** By frame type; "invalid" is what could not be read. */
  readonly framesIn: Map<string, number>;
  readonly framesOut: Map<string, number>;
  bytesIn: number;
  bytesOut: number;
  /** Frames handed to a connection because of a downstream record or a push. */
  deliveriesDelivered: number;
  /** Lossy frames that were not queued for a reader who is behind. */
  deliveriesDropped: number;
  /** Downstream records and pushes for nobody who is here. */
  deliveriesOffline: number;
  /** Frames kept for users who are not here just now. */
  deliveriesKept: number;
  /** `resume` frames by what became of them: "complete", or the reason of the resync-required. */
  readonly resumes: Map<string, number>;
  readonly recordsProduced: Map<TopicRole, number>;
  /** Messages of clients that were stored, or on their way, already: acked `duplicate`. */
  upstreamDuplicates: number;
  /** What was refused or closed because there is too much of it, by what that is. */
  readonly refused: Map<string, number>;
  recordsConsumed: number;
  /** By role, then by reason. */
  readonly recordFailures: Map<TopicRole, Map<string, number>>;
  /** Records of the downstream topic that were still to come when the last batch was delivered. */
  consumerLagRecords: number;
  /** Ends of connections that im-logic will not be told of: too many waited for Kafka. */
  userEventsDropped: number;
}

export function createCounters(): Counters {
  return {
    connectionsOpened: 0,
    connectionsClosed: new Map(),
    framesIn: new Map(),
    framesOut: new Map(),
    bytesIn: 0,
    bytesOut: 0,
    deliveriesDelivered: 0,
    deliveriesDropped: 0,
    deliveriesOffline: 0,
    deliveriesKept: 0,
    resumes: new Map(),
    recordsProduced: new Map(),
    upstreamDuplicates: 0,
    refused: new Map(),
    recordsConsumed: 0,
    recordFailures: new Map(),
    consumerLagRecords: 0,
    userEventsDropped: 0,
  };
}

export function count<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

/** @param own what this side closed with, if it did; a peer may close with any code, which must neither make a new count nor pass for one of ours */
export function countClose(counters: Counters, own: number | undefined, code: number): void {
  count(counters.connectionsClosed, own ?? (code >= 1000 && code <= 1015 ? code : "other"));
}

export function countFailure(counters: Counters, role: TopicRole, reason: string): void {
  const reasons = counters.recordFailures.get(role) ?? new Map<string, number>();
  count(reasons, reason);
  counters.recordFailures.set(role, reasons);
}

/**
 * A downstream record or a push was handed to so many connections.
 * @param type of the frame
 * @param dropped for so many others it was a lossy one that they were too slow for
 * @param kept users who are not here, for whom it waits
 */
export function countDelivery(counters: Counters, type: string, receivers: number, dropped = 0, kept = 0): void {
  counters.deliveriesKept += kept;
  if (receivers === 0 && dropped === 0 && kept === 0) {
    counters.deliveriesOffline += 1;
  } else if (receivers > 0) {
    counters.deliveriesDelivered += receivers;
    count(counters.framesOut, type, receivers);
  }
}

/**
 * The producer's `send`, with what it stores and what it does not counted under a role.
 * @param onStored told how long it took
 */
export function countedSend(
  producer: Producer,
  role: TopicRole,
  counters: Counters,
  onStored: (seconds: number) => void = () => {},
): Producer["send"] {
  return async (record) => {
    const startedMs = performance.now();
    try {
      await producer.send(record);
    } catch (thrown) {
      countFailure(counters, role, reasonOf(toConnectError(thrown)));
      throw thrown;
    }
    count(counters.recordsProduced, role);
    onStored((performance.now() - startedMs) / 1000);
  };
}
