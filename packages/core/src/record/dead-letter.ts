// Records that nobody can read, put where people can look at them (CONTRACT §5).
import { Code } from "@connectrpc/connect";
import type { ConsumerRecord, Log, Producer, ProducerRecord } from "../adapters.ts";
import { toConnectError } from "../error-json.ts";
import { traceIdOf } from "../trace.ts";
import { pause } from "../wait.ts";

export interface DeadLettersOptions {
  readonly send: Producer["send"];
  readonly topic: string;
  /** Aborts when whoever buries ends. */
  readonly stopped: () => AbortSignal;
  readonly log: Log;
}

export interface DeadLetters {
  /**
   * Resolves when the record is stored on the dead-letter topic; or, with a line in the log, when Kafka refuses it for good or did not take it
   * for half a minute: it is not worth more of the others' time. From then on records are tried once and not waited for, until one is stored.
   * Rejects when `stopped` aborts first: then it is to be read, and buried, once more.
   */
  bury(record: ConsumerRecord, reason: string): Promise<void>;
}

const retryMs = 500;
const maxTriesMs = 30_000;
/** Above it the value is cut: a letter must stay below what Kafka takes, and has headers of its own. */
const maxLetterBytes = 900_000;
const cutBytes = 1024;

export function createDeadLetters({ send, topic, stopped, log }: DeadLettersOptions): DeadLetters {
  /** It took nothing for as long as a record is worth. */
  let closed = false;

  const insist = async (record: ConsumerRecord, reason: string): Promise<void> => {
    const letter = toLetter(topic, record, reason);
    const dueMs = performance.now() + maxTriesMs;
    for (;;) {
      try {
        await send(letter);
        closed = false;
        return;
      } catch (thrown) {
        const error = toConnectError(thrown);
        if (stopped().aborted) {
          throw error;
        }
        const isOver = performance.now() >= dueMs;
        if (error.code === Code.InvalidArgument || isOver || closed) {
          closed ||= isOver;
          const { partition, offset, headers } = record;
          const trace_id = traceIdOf(headers.traceparent);
          const fields = { topic: record.topic, partition, offset, trace_id, error };
          log("error", "a record could not be put on the dead-letter topic", fields);
          return;
        }
      }
      await pause(retryMs, stopped());
    }
  };

  return {
    bury(record, reason) {
      const buried = insist(record, reason);
      // Whoever waits for many may come to this one late: until then its rejection is nobody's.
      buried.catch(() => {});
      return closed ? Promise.resolve() : buried;
    },
  };
}

/** The record as it came; of one that is too large headers, as far as they fit, and the first KiB. */
function toLetter(topic: string, record: ConsumerRecord, reason: string): ProducerRecord {
  const key = record.key ?? "";
  const value = record.value ?? new Uint8Array();
  const own = {
    "source-topic": record.topic,
    "source-partition": String(record.partition),
    "source-offset": record.offset,
    reason,
  };
  const headersBytes = Object.entries(record.headers).reduce((sum, header) => sum + bytesOf(...header), 0);
  if (value.length + bytesOf(key) + headersBytes <= maxLetterBytes) {
    return { topic, key, value, headers: { ...record.headers, ...own } };
  }
  let room = maxLetterBytes - 2 * cutBytes;
  const fitting = Object.entries(record.headers).filter((header) => {
    const fits = bytesOf(...header) <= room;
    room -= fits ? bytesOf(...header) : 0;
    return fits;
  });
  const headers = { ...Object.fromEntries(fitting), ...own };
  return { topic, key: key.slice(0, cutBytes / 4), value: value.subarray(0, cutBytes), headers };
}

/** In UTF-8. */
function bytesOf(...texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
}
