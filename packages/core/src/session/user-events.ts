// Tells im-logic who came and who went: the records on `user-events`. What Kafka has not taken is kept by connection, not by event, and
// repeated: while Kafka is away, a connection that comes and goes leaves one event.
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { UserEventSchema } from "@im-gateway/proto";
import type { Log, Producer, ProducerRecord } from "../adapters.ts";
import type { Counters } from "../counters.ts";
import { toConnectError } from "../error-json.ts";
import { encodeRecord } from "../record/codec.ts";
import { within } from "../wait.ts";

export interface ConnectionEvent {
  readonly event: "connected" | "disconnected";
  readonly userId: string;
  readonly deviceId: string;
  readonly connectionId: string;
  /** Why it went; "" when it came. */
  readonly reason: string;
  /** im-logic was told of this connection before. */
  readonly told: boolean;
}

export interface UserEventsOptions {
  readonly send: Producer["send"];
  readonly topic: string;
  readonly gatewayId: string;
  /** Asked when a record is sent: it may have risen since the event. */
  readonly epoch: () => number;
  readonly counters: Pick<Counters, "userEventsDropped">;
  readonly log: Log;
  readonly now: () => number;
  /** How many connections that have ended may wait for Kafka. Default: 100,000. */
  readonly maxEnded?: number;
}

export interface UserEvents {
  /** Returns at once. Receivers put events in order by `seq`, so a repeated one may come late. @returns the event's `seq` */
  publish(event: ConnectionEvent): number;
  /** Resolves when no event waits any more, or when the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
}

interface Untold extends Omit<ConnectionEvent, "told"> {
  readonly seq: number;
  readonly atMs: number;
  /** Also once it was sent: what was rejected may have been stored. */
  told: boolean;
}

/** By connection id, the longest waiting first. */
type Queue = Map<string, Untold>;

const retryMs = 1000;
/** Of each queue; the producer makes few requests of them. */
const maxBatch = 1000;
/** While Kafka refuses: enough to meet a partition that works, not enough to be in the way of messages. */
const maxProbe = 50;

export function createUserEvents(options: UserEventsOptions): UserEvents {
  const { topic, gatewayId, epoch, counters, log, now, maxEnded = 100_000 } = options;
  /** Connections that are here: at most one event each. */
  const here: Queue = new Map();
  /** Ended, and im-logic may believe that they are here. */
  const gone: Queue = new Map();
  /** Ended before im-logic was told that they came: all that is lost with one is when its user was last seen. */
  const passing: Queue = new Map();
  const queues = [here, gone, passing];
  let seq = 0;
  let sending: Promise<void> | undefined;
  let closing: AbortSignal | undefined;
  let dropping = false;

  const toRecord = (untold: Untold): ProducerRecord => {
    const { event, userId, deviceId, connectionId, reason, atMs } = untold;
    const value = encodeRecord(
      UserEventSchema,
      create(UserEventSchema, {
        event,
        userId,
        deviceId,
        connectionId,
        gatewayId,
        gatewayEpoch: BigInt(epoch()),
        seq: BigInt(untold.seq),
        reason,
        timestamp: BigInt(Math.floor(atMs / 1000)),
      }),
    );
    return { topic, key: userId, value };
  };

  /** @returns why it has to be sent again; undefined when it is done with */
  const send = async (untold: Untold): Promise<ConnectError | undefined> => {
    untold.told = true;
    try {
      await options.send(toRecord(untold));
    } catch (thrown) {
      const error = toConnectError(thrown);
      if (error.code !== Code.InvalidArgument) {
        return error;
      }
      const { event, userId, connectionId } = untold;
      log("error", "user event refused for good", { event, user_id: userId, connection_id: connectionId, error });
    }
    return undefined;
  };

  /** One batch of each queue; what fails waits behind the others. @returns why some failed */
  const sendSome = async (limit: number): Promise<ConnectError | undefined> => {
    const sent = queues.flatMap((queue) => first(queue, limit).map((untold) => ({ queue, untold })));
    const errors = await Promise.all(sent.map(({ untold }) => send(untold)));
    for (const [index, { queue, untold }] of sent.entries()) {
      // Something newer may have been said of the connection meanwhile.
      if (queue.get(untold.connectionId) === untold) {
        queue.delete(untold.connectionId);
        if (errors[index] !== undefined) {
          queue.set(untold.connectionId, untold);
        }
      }
    }
    return errors.find((error) => error !== undefined);
  };

  const waiting = (): number => here.size + gone.size + passing.size;

  const sendAll = async (): Promise<void> => {
    for (let failures = 0; waiting() > 0 && closing?.aborted !== true; ) {
      const error = await sendSome(failures === 0 ? maxBatch : maxProbe);
      if (error === undefined) {
        failures = 0;
        dropping = false;
        continue;
      }
      failures += 1;
      // The first failure is worth a line, its repetitions are not.
      const fields = { waiting: waiting(), attempt: failures, error };
      log(failures === 1 ? "warn" : "debug", "user events not published, trying again", fields);
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    sending = undefined;
  };

  const dropOldest = (): void => {
    const queue = passing.size > 0 ? passing : gone;
    for (const connectionId of queue.keys()) {
      queue.delete(connectionId);
      counters.userEventsDropped += 1;
      break;
    }
    if (!dropping) {
      dropping = true;
      log("error", "too many user events wait for Kafka, the oldest are dropped", { waiting: waiting() });
    }
  };

  return {
    publish(event) {
      const { connectionId } = event;
      seq += 1;
      const before = here.get(connectionId);
      const untold = { ...event, seq, atMs: now(), told: before?.told ?? event.told };
      here.delete(connectionId);
      if (event.event === "connected") {
        here.set(connectionId, untold);
      } else {
        (untold.told ? gone : passing).set(connectionId, untold);
        if (gone.size + passing.size > maxEnded) {
          dropOldest();
        }
      }
      if (closing?.aborted !== true) {
        sending ??= sendAll();
      }
      return seq;
    },
    async settled(signal) {
      closing = signal;
      const allSent = async (): Promise<void> => {
        while (sending !== undefined) {
          await sending;
        }
      };
      await within(allSent(), signal);
    },
  };
}

function first(queue: Queue, limit: number): Untold[] {
  const found: Untold[] = [];
  for (const untold of queue.values()) {
    if (found.length === limit) {
      break;
    }
    found.push(untold);
  }
  return found;
}
