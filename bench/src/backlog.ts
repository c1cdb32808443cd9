// Records that stand in Kafka unseen until they are let loose: they are written in a transaction, and both servers read only what is committed.
import { type Kafka, type Message, Partitioners } from "kafkajs";

export interface Backlog {
  /** From now on consumers see the records. */
  release(): Promise<void>;
  /** Ends the connection; what was not released is never seen. */
  close(): Promise<void>;
}

export interface BacklogOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly records: number;
  /** Keeps a request below Kafka's 1 MiB. */
  readonly recordsPerRequest: number;
  readonly record: (index: number) => Message;
}

/** Longer than a run may take. */
const transactionTimeoutMs = 300_000;

/** Resolves when all records are written. */
export async function writeBacklog({ kafka, topic, records, ...options }: BacklogOptions): Promise<Backlog> {
  const producer = kafka.producer({
    transactionalId: `bench-${crypto.randomUUID()}`,
    transactionTimeout: transactionTimeoutMs,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  try {
    const transaction = await producer.transaction();
    for (let first = 0; first < records; first += options.recordsPerRequest) {
      const count = Math.min(options.recordsPerRequest, records - first);
      await transaction.send({ topic, messages: Array.from({ length: count }, (_, n) => options.record(first + n)) });
    }
    return {
      release: () => transaction.commit(),
      async close() {
        if (transaction.isActive()) await transaction.abort();
        await producer.disconnect();
      },
    };
  } catch (error) {
    await producer.disconnect();
    throw error;
  }
}
