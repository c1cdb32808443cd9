// Records that nobody can read are noted and skipped: they would come again for ever.
import { ConnectError } from "@connectrpc/connect";
import type { ConsumerRecord, Log } from "@im-gateway/core";
import type { Counts } from "./counts.ts";

/** @returns undefined for poison, which is logged by its place and counted; `read` tells it by throwing a ConnectError */
export function readRecord<T>(
  record: ConsumerRecord,
  read: (value: Uint8Array | null) => T,
  log: Log,
  counts: Counts,
): T | undefined {
  try {
    return read(record.value);
  } catch (error) {
    if (!(error instanceof ConnectError)) {
      throw error;
    }
    const { topic, partition, offset } = record;
    counts.poisonRecords += 1;
    log("warn", "skipped a record that cannot be read", { topic, partition, offset, error: error.message });
    return undefined;
  }
}
