// Records from Kafka, for a group of one member: joined again whenever kafkajs gives up.
import { ConnectError } from "@connectrpc/connect";
import { type Consumer, type Log, reasonOf, type Subscription } from "@im-gateway/core";
import type { Client } from "./client.ts";
import { describeKafkaError, kindOf, permanentFailure } from "./failure.ts";
import { createPositions } from "./position.ts";
import { receive } from "./receive.ts";
import type { Topics } from "./topics.ts";
import { pause } from "./wait.ts";

export interface ConsumerOptions {
  readonly newClient: () => Client;
  readonly topics: Topics;
  readonly now: () => number;
  readonly log: Log;
}

const minRetryMs = 200;
const maxRetryMs = 5000;

export function createConsumer({ newClient, topics, now, log }: ConsumerOptions): Consumer {
  async function run(subscription: Subscription): Promise<void> {
    const { groupId, signal } = subscription;
    let ready = false;
    let wasReady = false;
    let retryMs = minRetryMs;
    let attempt = 0;
    const positions = createPositions({ subscription, topics, log });
    const setReady = (value: boolean): void => {
      if (ready === value) return;
      ready = value;
      wasReady ||= ready;
      if (ready) retryMs = minRetryMs;
      log(ready || signal.aborted ? "info" : "warn", ready ? "receiving from Kafka" : "not receiving from Kafka", {
        group: groupId,
      });
      subscription.onReady(ready);
    };
    while (!signal.aborted) {
      try {
        await topics.ensure([...subscription.topics, ...(subscription.alsoCreate ?? [])], signal);
        attempt += 1;
        await receive({ subscription, attempt, client: newClient(), topics, positions, setReady, now, log });
      } catch (error) {
        if (!signal.aborted) {
          const permanent = error instanceof ConnectError ? error : permanentFailure(error);
          // What worked before works again once an operator gives the right back; the positions, which tell of gaps, last until then.
          const mayHeal = wasReady && permanent !== undefined && reasonOf(permanent) === "KAFKA_REFUSED";
          if (permanent !== undefined && !mayHeal) throw permanent;
          const fields = { group: groupId, ...describeKafkaError(error) };
          if (permanent !== undefined)
            log("error", "Kafka refuses what it allowed before, trying again", { ...fields, error: permanent });
          // No waiting heals this, but an operator does, without a restart: by `compression.type` of the topic, or by removing the records.
          else if (kindOf(error) === "KafkaJSNotImplemented")
            log("error", "records are packed in a way that can not be read", fields);
          else log("warn", "the Kafka consumer failed and starts again", fields);
        }
      } finally {
        setReady(false);
      }
      await pause(retryMs, signal);
      retryMs = Math.min(2 * retryMs, maxRetryMs);
    }
  }

  return { run };
}
