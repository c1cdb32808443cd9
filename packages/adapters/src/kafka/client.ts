// kafkajs as it is used here: its log lines in ours, and its sockets in our hands.
import { connect, type Socket } from "node:net";
import type { Log } from "@im-gateway/core";
import { type ISocketFactoryArgs, Kafka, type LogEntry, logLevel } from "kafkajs";
import { addCodecs } from "./codecs.ts";
import { describeKafkaError } from "./failure.ts";
import { within } from "./wait.ts";

export interface ClientOptions {
  /** host:port of each broker that is asked first. */
  readonly brokers: readonly string[];
  /** What brokers call this client in their logs and quotas. */
  readonly clientId: string;
  readonly log: Log;
}

export interface Client {
  readonly kafka: Kafka;
  /**
   * Breaks the connections to a broker (host:port) that does not answer. kafkajs would ask it again and again, for metadata too, and never
   * hear of the new leader; without connections it turns to the others.
   */
  drop(broker: string): void;
  /**
   * Waits for `disconnect`, a method of kafkajs, no longer than that, and breaks what connections are left: kafkajs waits for every answer
   * that is due. Never rejects.
   */
  end(disconnect: () => Promise<void>, timeoutMs: number): Promise<void>;
}

const keepAliveMs = 60_000;

/** Connects to nothing until it is used. For one producer, consumer or admin: no other connection shares its fate. */
export function createClient({ brokers, clientId, log }: ClientOptions): Client {
  addCodecs();
  const sockets = new Map<Socket, string>();

  function openSocket({ host, port, onConnect }: ISocketFactoryArgs): Socket {
    const socket = connect({ host, port }, onConnect);
    socket.setKeepAlive(true, keepAliveMs);
    // kafkajs disconnects a socket that is gone again and again, which costs a listener each time.
    socket.setMaxListeners(0);
    sockets.set(socket, `${host}:${port}`);
    socket.once("close", () => sockets.delete(socket));
    return socket;
  }

  const kafka = new Kafka({
    // Not always the same one first: it may be the one that does not answer.
    brokers: () => brokers.toSorted(() => Math.random() - 0.5),
    clientId,
    requestTimeout: 2000,
    connectionTimeout: 1000,
    socketFactory: openSocket,
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => log("debug", `kafkajs: ${entry.log.message}`, fieldsOf(entry)),
  });

  return {
    kafka,
    drop(broker) {
      for (const [socket, peer] of sockets) if (peer === broker) socket.destroy(new Error("no answer in time"));
    },
    async end(disconnect, timeoutMs) {
      try {
        await within(disconnect(), timeoutMs);
      } catch (error) {
        log("debug", "a Kafka client did not disconnect well", describeKafkaError(error));
      }
      for (const socket of sockets.keys()) socket.destroy();
    },
  };
}

// What kafkajs calls an error is nearly always a step of its own retries: the adapter logs what becomes of them. Other fields may hold content.
function fieldsOf({ namespace, log: { broker, groupId, retryCount, retryTime } }: LogEntry): Record<string, unknown> {
  return { namespace, broker, group: groupId, retry_count: retryCount, retry_ms: retryTime };
}
