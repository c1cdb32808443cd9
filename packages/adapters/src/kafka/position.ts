// Where a group stands in its topics, remembered over the lives of its consumer: what Kafka has now is compared with it.
import { randomUUID } from "node:crypto";
import { Code, type ConnectError } from "@connectrpc/connect";
import { failure, type Gap, type Log, type Subscription } from "@im-gateway/core";
import type { Admin, TopicPartitionOffsetAndMetadata } from "kafkajs";
import { kindOf } from "./failure.ts";
import type { Topics } from "./topics.ts";

export interface PositionsOptions {
  readonly subscription: Pick<Subscription, "topics" | "groupId" | "epoch" | "onGap">;
  readonly topics: Pick<Topics, "withAdmin">;
  readonly log: Log;
}

export interface Positions {
  /**
   * Compares the positions with what Kafka has and reports gaps. To be called after each join, and whenever kafkajs has looked for a position
   * anew. Rejects with PARTITION_TAKEN when a higher epoch has committed since this one began.
   * @param commit with an epoch: makes it known in the group's offsets, once
   * @returns whether there was no gap
   */
  verify(
    assigned: Readonly<Record<string, readonly number[]>>,
    commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>,
  ): Promise<boolean>;
  /** Whether records that begin there follow what was delivered, or come again; if not it reports a gap, or `verify` has to be asked. */
  follows(topic: string, partition: number, firstOffset: string): boolean;
  delivered(topic: string, partition: number, nextOffset: string): void;
  committed(topic: string, partition: number, nextOffset: string): void;
  /** To be stored with each committed offset. */
  metadata(): string | null;
}

interface Position {
  /** The next offset to be delivered, and the one that the group has stored at least. */
  next: bigint;
  committed: bigint;
}

interface Found {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
  /** Negative: none. */
  readonly stored: bigint;
  readonly metadata: string | null;
}

/** What kafkajs commits ("earliest") when the position that it found was not in the log any more. */
const resetOffset = -2n;

export function partitionTaken(): ConnectError {
  return failure(Code.Aborted, "PARTITION_TAKEN", "a later life of this consumer has its partitions");
}

export function createPositions({ subscription, topics, log }: PositionsOptions): Positions {
  const { groupId, epoch, onGap } = subscription;
  const known = new Map<string, Position>();
  /** Told, and not yet replaced in Kafka by a position that is there. */
  const told = new Set<string>();
  /** Beside the epoch in what is committed: a coordinator that lost its data gives this very process a lower epoch than it had. */
  const life = randomUUID();
  let claimed = false;
  let verifying: Promise<unknown> = Promise.resolve();
  const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`;
  const metadata = (): string | null => (epoch === undefined ? null : `${epoch()} ${life}`);

  function report(gap: Gap): void {
    log("error", "records are missing before the next one", { group: groupId, ...gap });
    onGap?.(gap);
  }

  /**
   * @param before the position when Kafka was asked: meanwhile more may have been delivered
   * @returns why records are missing, if they are
   */
  function gapAt(topic: string, found: Found, before: bigint | undefined): Gap["reason"] | undefined {
    const { partition, low, high, stored } = found;
    const key = keyOf(topic, partition);
    if (!known.has(key) && stored === resetOffset) return low > 0n ? "expired" : "recreated";
    const position = known.get(key) ?? (stored < 0n ? undefined : { next: stored, committed: stored });
    if (position === undefined) return undefined;
    known.set(key, position);
    if (position.next < low) return "expired";
    // Kafka drops a group's offsets with the topic.
    const lost = before !== undefined && stored < 0n;
    return (before ?? position.next) > high || lost ? "recreated" : undefined;
  }

  function isTaken({ metadata }: Found): boolean {
    if (epoch === undefined) return false;
    const [other, otherLife] = metadata?.split(" ") ?? [];
    // A new process has its epoch from whoever grants them, and believes no number that was left here.
    return claimed && otherLife !== life && Number(other ?? 0) > epoch();
  }

  async function verifyOnce(
    assigned: Readonly<Record<string, readonly number[]>>,
    commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>,
  ): Promise<boolean> {
    const before = new Map([...known].map(([key, { next }]) => [key, next]));
    const claims: TopicPartitionOffsetAndMetadata[] = [];
    let whole = true;
    await topics.withAdmin(async (admin) => {
      for (const [topic, partitions] of Object.entries(assigned)) {
        for (const found of await find(admin, groupId, topic)) {
          if (!partitions.includes(found.partition)) continue;
          if (isTaken(found)) throw partitionTaken();
          const { partition, stored, low, high } = found;
          const key = keyOf(topic, partition);
          const reason = gapAt(topic, found, before.get(key));
          if (reason !== undefined) {
            whole = false;
            if (!told.has(key)) report({ topic, partition, reason });
            told.add(key);
          }
          if (reason !== undefined || (epoch !== undefined && !claimed)) {
            const offset = String(reason !== undefined || stored < low || stored > high ? low : stored);
            claims.push({ topic, partition, offset, metadata: metadata() });
          }
        }
      }
    });
    if (claims.length === 0) return whole;
    // After a gap kafkajs goes on with the oldest record, but leaves no position in Kafka: the next look would find the same gap.
    await commit(claims);
    claimed = true;
    for (const { topic, partition, offset } of claims) {
      const key = keyOf(topic, partition);
      if (told.delete(key) || !known.has(key)) known.set(key, { next: BigInt(offset), committed: BigInt(offset) });
    }
    return whole;
  }

  return {
    async verify(assigned, commit) {
      if (epoch === undefined && onGap === undefined) return true;
      // One at a time: two would tell of one gap twice.
      const verified = verifying.then(() => verifyOnce(assigned, commit));
      verifying = verified.catch(() => {});
      return verified;
    },
    follows(topic, partition, firstOffset) {
      const key = keyOf(topic, partition);
      const position = known.get(key);
      const first = BigInt(firstOffset);
      if (position === undefined || first === position.next) return true;
      if (first > position.next) return false;
      if (first < position.committed) {
        known.delete(key);
        report({ topic, partition, reason: "recreated" });
      }
      return true;
    },
    delivered(topic, partition, nextOffset) {
      const next = BigInt(nextOffset);
      const { committed = 0n } = known.get(keyOf(topic, partition)) ?? {};
      known.set(keyOf(topic, partition), { next, committed });
    },
    committed(topic, partition, nextOffset) {
      const position = known.get(keyOf(topic, partition));
      if (position !== undefined) position.committed = BigInt(nextOffset);
    },
    metadata,
  };
}

/** Nothing of a topic that is not there. */
async function find(admin: Admin, groupId: string, topic: string): Promise<Found[]> {
  try {
    const [ends, groups] = await Promise.all([
      admin.fetchTopicOffsets(topic),
      admin.fetchOffsets({ groupId, topics: [topic] }),
    ]);
    const stored = new Map(groups.flatMap(({ partitions }) => partitions).map((entry) => [entry.partition, entry]));
    return ends.map(({ partition, low, high }) => {
      const { offset = "-1", metadata = null } = stored.get(partition) ?? {};
      return { partition, low: BigInt(low), high: BigInt(high), stored: BigInt(offset), metadata };
    });
  } catch (error) {
    if (kindOf(error) === "UNKNOWN_TOPIC_OR_PARTITION") return [];
    throw error;
  }
}
