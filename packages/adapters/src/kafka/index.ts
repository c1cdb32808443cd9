// Kafka by kafkajs 2.2.4, with its traps closed: the bus behind core's `Producer` and `Consumer`.
import type { Consumer, Log, Producer, RemoveTopic, Topic } from "@im-gateway/core";
import { createClient } from "./client.ts";
import { createConsumer } from "./consumer.ts";
import { createProducer } from "./producer.ts";
import { createTopics } from "./topics.ts";

export interface KafkaOptions {
  /** host:port of each broker that is asked first. */
  readonly brokers: readonly string[];
  /** What brokers call this client in their logs and quotas. */
  readonly clientId: string;
  readonly log: Log;
  /** How long `send` may take. Default: 4,000. */
  readonly publishTimeoutMs?: number;
  /** Of topics that are created. Default: 3, or as many as there are brokers. */
  readonly replicationFactor?: number;
  /** What may wait to be stored. Defaults: 10,000 records and 64 MiB. */
  readonly maxQueuedRecords?: number;
  readonly maxQueuedBytes?: number;
  /** A clock in milliseconds that never goes back. */
  readonly now?: () => number;
}

export interface Kafka {
  readonly producer: Producer;
  /** For groups of one member: of two slow ones in a group each would take the other's partitions away. Those with an epoch never do. */
  readonly consumer: Consumer;
  /**
   * Creates the topics that are missing and leaves the others as they are. Waits for absent brokers until the signal aborts: then it rejects
   * with `canceled`. Rejects too on what can never work: `invalid_argument`, `failed_precondition`, `permission_denied`, `unauthenticated`.
   */
  ensureTopics(topics: readonly Topic[], signal: AbortSignal): Promise<void>;
  /** Waits for absent brokers and rejects as `ensureTopics` does. */
  readonly removeTopic: RemoveTopic;
}

/** Connects to nothing until it is used. Consumers end by their signals, the producer by its `close`. */
export function createKafka(options: KafkaOptions): Kafka {
  const { log, publishTimeoutMs = 4000, maxQueuedRecords = 10_000, maxQueuedBytes = 64 * 1024 * 1024 } = options;
  const { now = () => performance.now() } = options;
  const newClient = () => createClient(options);
  const topics = createTopics({
    newClient,
    log,
    knownBrokers: new Set(options.brokers).size,
    ...(options.replicationFactor === undefined ? {} : { replicationFactor: options.replicationFactor }),
  });
  return {
    producer: createProducer({ newClient, topics, publishTimeoutMs, maxQueuedRecords, maxQueuedBytes, now, log }),
    consumer: createConsumer({ newClient, topics, now, log }),
    ensureTopics: topics.ensure,
    removeTopic: topics.remove,
  };
}
