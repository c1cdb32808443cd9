// The bus that a configuration asks for: Kafka where it has a `kafka` section, else memory.
import type { Consumer, Log, Producer, RemoveTopic, Topic } from "@im-gateway/core";
import { createMemoryBus } from "@im-gateway/core/memory";
import type { KafkaConfig } from "../config/index.ts";
import { createKafka } from "../kafka/index.ts";

/** What one part of a process needs of the bus: a producer of its own, which it closes, a consumer, and a way to delete topics. */
export interface Bus {
  readonly producer: Producer;
  readonly consumer: Consumer;
  readonly removeTopic: RemoveTopic;
}

/** The topics of CONTRACT §5 that processes share, by the names of the configuration. */
export interface SharedTopics {
  readonly upstream: Topic;
  readonly userEvents: Topic;
  readonly deadLetter: Topic;
  /** A gateway's own topic is this and its id. */
  readonly downstreamPrefix: string;
}

const defaultPartitions = 6;

/** @returns connects one part of the process, by the name that brokers log */
export function createBus(kafka: KafkaConfig | undefined, log: Log): (clientId: string) => Bus {
  if (kafka === undefined) {
    const memory = createMemoryBus({ log });
    return () => memory.connect();
  }
  const { brokers, publishTimeoutMs, replicationFactor } = kafka;
  const replication = replicationFactor === undefined ? {} : { replicationFactor };
  return (clientId) => createKafka({ brokers, clientId, publishTimeoutMs, log, ...replication });
}

/** Without a `kafka` section the topics have their default names. */
export function sharedTopics(kafka: KafkaConfig | undefined): SharedTopics {
  const partitions = kafka?.partitions ?? defaultPartitions;
  return {
    upstream: { name: kafka?.topics.upstream ?? "upstream", partitions },
    userEvents: { name: kafka?.topics.userEvents ?? "user-events", partitions },
    deadLetter: { name: kafka?.topics.deadLetter ?? "dead-letter", partitions: 1 },
    downstreamPrefix: kafka?.topics.downstreamPrefix ?? "downstream-",
  };
}
