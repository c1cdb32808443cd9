// kafkajs as it is used here, and its log lines in ours.
import type { Log } from "@im-gateway/core";
import { Kafka, type LogEntry, logLevel } from "kafkajs";

export interface ClientOptions {
  /** host:port of each broker that is asked first. */
  readonly brokers: readonly string[];
  /** What brokers call this client in their logs and quotas. */
  readonly clientId: string;
  readonly log: Log;
}

/** One client of kafkajs; those of one `Kafka` share what is committed by group, so each consumer has a client of its own. */
export function createClient({ brokers, clientId, log }: ClientOptions): Kafka {
  return new Kafka({
    brokers: [...brokers],
    clientId,
    requestTimeout: 2000,
    connectionTimeout: 1000,
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => log("debug", `kafkajs: ${entry.log.message}`, fieldsOf(entry)),
  });
}

// What kafkajs calls an error is nearly always a step of its own retries: the adapter logs what becomes of them. Any other field may hold content.
function fieldsOf({ namespace, log: { broker, groupId, retryCount, retryTime } }: LogEntry): Record<string, unknown> {
  return { namespace, broker, group: groupId, retry_count: retryCount, retry_ms: retryTime };
}
