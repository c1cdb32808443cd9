// Records that nobody can read are put on the dead-letter topic and skipped: they would come again for ever.
import { ConnectError } from "@connectrpc/connect";
import { type ConsumerRecord, type DeadLetters, type Log, reasonOf, traceIdOf } from "@im-gateway/core";
import type { Counts } from "./counts.ts";

export interface Poison {
  /** @returns undefined for poison, which is logged by its place, counted and buried; `read` tells it by throwing a ConnectError */
  read<T>(record: ConsumerRecord, read: (value: Uint8Array | null) => T): T | undefined;
  /** Resolves when what was found so far is buried: a batch is not taken before. */
  buried(): Promise<void>;
}

export function createPoison(deadLetters: DeadLetters, log: Log, counts: Counts): Poison {
  let burying: Promise<void>[] = [];
  return {
    read(record, read) {
      try {
        return read(record.value);
      } catch (error) {
        if (!(error instanceof ConnectError)) {
          throw error;
        }
        const { topic, partition, offset } = record;
        counts.poisonRecords += 1;
        const trace_id = traceIdOf(record.headers.traceparent);
        log("warn", "record skipped", { topic, partition, offset, trace_id, error });
        burying.push(deadLetters.bury(record, `${reasonOf(error)}: ${error.rawMessage}`));
        return undefined;
      }
    },
    async buried() {
      const waiting = burying;
      burying = [];
      await Promise.all(waiting);
    },
  };
}
