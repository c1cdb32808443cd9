// Topics: made when they are missing, and how many partitions they have.
import { Code } from "@connectrpc/connect";
import { failure, type Log, type RemoveTopic, type Topic } from "@im-gateway/core";
import type { Admin } from "kafkajs";
import type { Client } from "./client.ts";
import { describeKafkaError, kindOf, permanentFailure } from "./failure.ts";
import { pause, untilAborted } from "./wait.ts";

export interface TopicsOptions {
  readonly newClient: () => Client;
  /** How many brokers the configuration names. */
  readonly knownBrokers: number;
  /** Default: 3, or as many as there are brokers. */
  readonly replicationFactor?: number;
  readonly log: Log;
}

export interface Topics {
  /**
   * Creates those that are missing; what is there stays as it is. Waits for absent brokers until the signal aborts: then it rejects with
   * `canceled`. Rejects also on what can never work.
   */
  ensure(topics: readonly Topic[], signal: AbortSignal): Promise<void>;
  /** Deletes a topic; there may be none. Waits for absent brokers as `ensure` does. */
  readonly remove: RemoveTopic;
  /** Those who ask at the same time share one connection. Rejects as kafkajs does. */
  withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T>;
  /** 0 when there is no such topic. Rejects as kafkajs does when no broker answers. */
  countPartitions(topic: string): Promise<number>;
}

const maxReplicationFactor = 3;
const minRetryMs = 200;
const maxRetryMs = 5000;
const disconnectMs = 2000;

export function createTopics({ newClient, knownBrokers, replicationFactor, log }: TopicsOptions): Topics {
  let shared: { readonly client: Client; readonly admin: Admin; readonly connected: Promise<void> } | undefined;
  let users = 0;

  function open(): NonNullable<typeof shared> {
    const client = newClient();
    const admin = client.kafka.admin();
    return { client, admin, connected: admin.connect() };
  }

  /** Those who ask at the same time share one connection; when the last has its answer it ends. */
  async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
    users += 1;
    shared ??= open();
    const { client, admin, connected } = shared;
    try {
      await connected;
      return await use(admin);
    } finally {
      users -= 1;
      if (users === 0) {
        shared = undefined;
        void client.end(admin.disconnect, disconnectMs);
      }
    }
  }

  async function create(admin: Admin, { name, partitions, retentionMs }: Topic): Promise<void> {
    const { brokers } = await admin.describeCluster();
    const copies = replicationFactor ?? Math.min(maxReplicationFactor, Math.max(brokers.length, knownBrokers));
    // kafkajs reads gzip only; so the broker unpacks what other producers have packed.
    const configEntries = [{ name: "compression.type", value: "uncompressed" }];
    if (retentionMs !== undefined) configEntries.push({ name: "retention.ms", value: String(retentionMs) });
    if (copies >= 3) configEntries.push({ name: "min.insync.replicas", value: "2" });
    const topic = { topic: name, numPartitions: partitions, replicationFactor: copies, configEntries };
    if (await admin.createTopics({ topics: [topic] })) {
      log("info", "created a topic", { topic: name, partitions, replication_factor: copies });
    }
  }

  async function ensure(topics: readonly Topic[], signal: AbortSignal): Promise<void> {
    const names = topics.map(({ name }) => name);
    await insist({ topics: names, todo: "there" }, signal, async (admin) => {
      for (const topic of topics) if ((await countPartitions(admin, topic.name)) === 0) await create(admin, topic);
    });
  }

  async function remove(name: string, signal: AbortSignal): Promise<void> {
    await insist({ topics: [name], todo: "gone" }, signal, async (admin) => {
      // kafkajs asks again and again for a topic that is gone.
      if ((await countPartitions(admin, name)) === 0) return;
      await admin.deleteTopics({ topics: [name] });
      log("info", "removed a topic", { topic: name });
    });
  }

  /** Until it is done, or the signal aborts, or it can never be. */
  async function insist(
    { topics, todo }: { readonly topics: readonly string[]; readonly todo: string },
    signal: AbortSignal,
    work: (admin: Admin) => Promise<void>,
  ): Promise<void> {
    for (let retryMs = minRetryMs; !signal.aborted; retryMs = Math.min(2 * retryMs, maxRetryMs)) {
      try {
        return await untilAborted(withAdmin(work), signal);
      } catch (error) {
        if (signal.aborted) break;
        const permanent = permanentFailure(error);
        if (permanent !== undefined) throw permanent;
        log("warn", `topics are not ${todo} yet`, { topics, ...describeKafkaError(error) });
        await pause(retryMs, signal);
      }
    }
    throw failure(Code.Canceled, "CANCELED", `stopped before the topics were ${todo}`);
  }

  return { ensure, remove, withAdmin, countPartitions: (topic) => withAdmin((admin) => countPartitions(admin, topic)) };
}

async function countPartitions(admin: Admin, topic: string): Promise<number> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics.find(({ name }) => name === topic)?.partitions.length ?? 0;
  } catch (error) {
    if (kindOf(error) === "UNKNOWN_TOPIC_OR_PARTITION") return 0;
    throw error;
  }
}
