// This gateway's own topic: consumed under its epoch, for as long as the place is its own.
import type { Consumer, Log, Subscription, Topic } from "./adapters.ts";
import { type Counters, countFailure } from "./counters.ts";
import { toConnectError } from "./error-json.ts";
import { reasonOf } from "./errors.ts";
import { pause } from "./wait.ts";

export interface ConsumptionOptions extends Pick<Subscription, "alsoCreate" | "epoch" | "deliver"> {
  readonly consumer: Consumer;
  readonly topic: Topic;
  /** Records flow, for the first time or again. */
  readonly onFlow: () => void;
  /** Records are gone that nobody here has seen. */
  readonly onGap: () => void;
  /** A later life of this gateway has its partition. */
  readonly onTaken: () => void;
  readonly counters: Counters;
  readonly log: Log;
}

export interface Consumption {
  /** Records flow. */
  readonly active: boolean;
  /** Until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** A turn takes as many of them as it should; the more it has, the more frames leave in one write. */
const maxBatchRecords = 10_000;
const retryMs = 2000;

export function createConsumption(options: ConsumptionOptions): Consumption {
  const { consumer, topic, onFlow, onGap, onTaken, counters, log, ...subscription } = options;
  let active = false;
  return {
    get active() {
      return active;
    },
    async run(signal) {
      while (!signal.aborted) {
        try {
          await consumer.run({
            ...subscription,
            topics: [topic],
            groupId: topic.name,
            maxBatchRecords,
            onReady(ready) {
              active = ready;
              if (ready) {
                onFlow();
              }
            },
            onLag(lag) {
              counters.consumerLagRecords = lag;
            },
            onGap() {
              countFailure(counters, "downstream", "RECORDS_LOST");
              onGap();
            },
            signal,
          });
        } catch (error) {
          log("error", "the downstream topic can not be consumed", { topic: topic.name, error });
          if (reasonOf(toConnectError(error)) === "PARTITION_TAKEN") {
            onTaken();
            return;
          }
        } finally {
          active = false;
        }
        // An operator may give back the right that is missing; what was written meanwhile is still there then.
        await pause(retryMs, signal);
      }
    },
  };
}
