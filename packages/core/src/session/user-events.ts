// Tells im-logic who came and who went: the records on `user-events`. An event is repeated until Kafka has it.
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { UserEventSchema } from "@im-gateway/proto";
import type { Log, Producer, ProducerRecord } from "../adapters.ts";
import { toConnectError } from "../error-json.ts";
import { encodeRecord } from "../record/codec.ts";

export interface ConnectionEvent {
  readonly event: "connected" | "disconnected";
  readonly userId: string;
  readonly deviceId: string;
  readonly connectionId: string;
  /** Why it went; "" when it came. */
  readonly reason: string;
}

export interface UserEventsOptions {
  readonly send: Producer["send"];
  readonly topic: string;
  readonly gatewayId: string;
  readonly epoch: () => number;
  readonly log: Log;
  readonly now: () => number;
}

export interface UserEvents {
  /** Returns at once. Receivers put events in order by `seq`, so a repeated one may come late. @returns the event's `seq` */
  publish(event: ConnectionEvent): number;
  /** Resolves when no event waits any more, or when the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
}

const retryMs = 1000;

export function createUserEvents(options: UserEventsOptions): UserEvents {
  const { topic, gatewayId, epoch, log, now } = options;
  const pending = new Set<Promise<void>>();
  let seq = 0;
  let closing: AbortSignal | undefined;

  const send = async (record: ProducerRecord, fields: Readonly<Record<string, unknown>>): Promise<void> => {
    for (let attempt = 1; closing?.aborted !== true; attempt++) {
      try {
        return await options.send(record);
      } catch (thrown) {
        const error = toConnectError(thrown);
        if (error.code === Code.InvalidArgument) {
          log("error", "user event refused for good", { ...fields, error });
          return;
        }
        // The first failure of an event is worth a line, its repetitions are not.
        log(attempt === 1 ? "warn" : "debug", "user event not published, trying again", {
          ...fields,
          attempt,
          error,
        });
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  };

  return {
    publish({ event, userId, deviceId, connectionId, reason }) {
      const nowMs = now();
      seq += 1;
      const value = encodeRecord(
        UserEventSchema,
        create(UserEventSchema, {
          event,
          userId,
          deviceId,
          connectionId,
          gatewayId,
          gatewayEpoch: BigInt(epoch()),
          seq: BigInt(seq),
          reason,
          timestamp: BigInt(Math.floor(nowMs / 1000)),
        }),
      );
      const sent = send({ topic, key: userId, value }, { event, user_id: userId, connection_id: connectionId });
      pending.add(sent);
      void sent.finally(() => pending.delete(sent));
      return seq;
    },
    async settled(signal) {
      closing = signal;
      await Promise.race([
        Promise.all(pending),
        new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => resolve(), { once: true });
          if (signal.aborted) {
            resolve();
          }
        }),
      ]);
    },
  };
}
