// Records that nobody can read, put where people can look at them (CONTRACT §5).
import type { ConsumerRecord, Log, Producer } from "../adapters.ts";
import { toConnectError } from "../error-json.ts";
import { traceIdOf } from "../trace.ts";

export interface DeadLetters {
  /** Resolves when the record is stored on the dead-letter topic, or, with a line in the log, when it could not be. Never rejects. */
  bury(record: ConsumerRecord, reason: string): Promise<void>;
}

/** Above it the value is cut: with its headers the record must stay below what Kafka takes. */
const maxValueBytes = 900_000;
const cutValueBytes = 1024;

export function createDeadLetters(producer: Producer, topic: string, log: Log): DeadLetters {
  return {
    async bury(record, reason) {
      const { partition, offset, key, headers } = record;
      const value = record.value ?? new Uint8Array();
      try {
        await producer.send({
          topic,
          key: key ?? "",
          value: value.length > maxValueBytes ? value.subarray(0, cutValueBytes) : value,
          headers: {
            ...headers,
            "source-topic": record.topic,
            "source-partition": String(partition),
            "source-offset": offset,
            reason,
          },
        });
      } catch (thrown) {
        const error = toConnectError(thrown);
        log("error", "a record could not be put on the dead-letter topic", {
          topic: record.topic,
          partition,
          offset,
          trace_id: traceIdOf(headers.traceparent),
          error,
        });
      }
    },
  };
}
