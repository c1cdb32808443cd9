// Signs of life of a kafkajs consumer: whether records can come, and when it is better replaced.
import type { Consumer } from "kafkajs";

export interface Pulse {
  /** While `deliver` works nothing is fetched. */
  setBusy(busy: boolean): void;
  /** What became of a commit. */
  setCommitted(committed: boolean): void;
  /** Fetches are answered, or would be if `deliver` were not at work. */
  isReceiving(): boolean;
  /** It has joined, and its fetches have gone wrong for a second: a topic may be missing. */
  isStuck(): boolean;
  /**
   * The leader of its partitions or the coordinator of its group has not answered for long, or takes no commits. kafkajs would go on asking
   * the same broker, which may be gone or frozen while another has long taken over; and all that is not committed comes again. The words say
   * which; `undefined` while all is well.
   */
  loss(): string | undefined;
}

/** An idle broker answers a fetch every 200 ms. No fetch is made at all when another member has the partitions. */
const maxFetchSilenceMs = 3000;
const stuckMs = 1000;
/** Heartbeats are due several times a second, and each answer within 2 s. */
const maxSilenceMs = 8000;
const maxUncommittedMs = 3000;
const maxJoinMs = 30_000;
const coordinatorRequests = new Set(["JoinGroup", "SyncGroup", "Heartbeat", "OffsetCommit"]);

/** @param onFetch called at each fetch that was answered and could be read */
export function createPulse(consumer: Consumer, now: () => number, onFetch: () => void): Pulse {
  const startedMs = now();
  let joined = false;
  let answered = false;
  let hasPartitions = false;
  let busySinceMs: number | undefined;
  let fetchedMs = startedMs;
  let coordinatedMs = startedMs;
  let uncommittedSinceMs: number | undefined;

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    joined = true;
    hasPartitions = Object.values(payload.memberAssignment).some((partitions) => partitions.length > 0);
    fetchedMs = now();
  });
  consumer.on(consumer.events.REQUEST, ({ payload: { apiName } }) => {
    if (coordinatorRequests.has(apiName)) coordinatedMs = now();
    if (apiName === "Fetch" && joined) answered = true;
  });
  // Comes only when the answer was no error, or kafkajs has made up for it.
  consumer.on(consumer.events.FETCH, () => {
    if (!answered) return;
    answered = false;
    fetchedMs = now();
    onFetch();
  });

  return {
    setBusy(value) {
      // The time that `deliver` takes is no silence.
      if (busySinceMs !== undefined) fetchedMs = Math.min(now(), fetchedMs + now() - busySinceMs);
      busySinceMs = value ? now() : undefined;
    },
    setCommitted(committed) {
      uncommittedSinceMs = committed ? undefined : (uncommittedSinceMs ?? now());
    },
    isReceiving: () => busySinceMs !== undefined || now() - fetchedMs < maxFetchSilenceMs,
    isStuck: () => joined && busySinceMs === undefined && now() - fetchedMs > stuckMs,
    loss() {
      const nowMs = now();
      if (!joined) return nowMs - startedMs > maxJoinMs ? "joining takes too long" : undefined;
      if (nowMs - coordinatedMs > maxSilenceMs) return "the coordinator is silent";
      if (uncommittedSinceMs !== undefined && nowMs - uncommittedSinceMs > maxUncommittedMs) return "commits fail";
      if (hasPartitions && busySinceMs === undefined && nowMs - fetchedMs > maxSilenceMs) return "the leader is silent";
      return undefined;
    },
  };
}
