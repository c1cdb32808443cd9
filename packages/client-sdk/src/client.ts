// createClient: the connection, messages and every method of the contract under one name.
import { addresses } from "./addresses.ts";
import type { CallOptions } from "./call-options.ts";
import { type ConnectionState, createConnection } from "./connection.ts";
import { wholeMs } from "./deadline.ts";
import { createEmitter, type Listener } from "./emitter.ts";
import { ImError, readError } from "./errors.ts";
import { type Methods, routes, type Services, servicesPackage } from "./gen/methods.ts";
import type {
  ClientTypingData,
  ConnectedData,
  JsonObject,
  MarkReadData,
  MessageAckData,
  SendMessageData,
  ServerFrames,
} from "./gen/types.ts";
import { createHttp } from "./http.ts";
import { createTokenSource, type GetToken } from "./token.ts";

export interface ClientOptions {
  /** The base URL (`https://host`), or a WebSocket URL (`wss://host/ws`). */
  readonly url: string;
  /**
   * The access token of who is logged in; asked for each time that one is needed, so keep it.
   * `refresh`: the last one has expired or is about to. It is not called again before it has answered.
   * A throw is tried again later; an ImError that is no use to retry (a refresh token that was refused) closes the connection.
   */
  readonly getToken: GetToken;
  /** Of every call and of every frame that is answered. Default: 10 s. */
  readonly timeout_ms?: number;
  /** Default: the global one. */
  readonly WebSocket?: new (
    url: string,
  ) => WebSocket;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

/** Frames by their type, with their data; and the connection's own events. */
export type ClientEvents = Omit<ServerFrames, "error"> & {
  state: ConnectionState;
  /** The connection was closed for good, a token could not be had, or the back end refused a message that was acked (`client_msg_id`). */
  error: ImError;
};

/** `message_type` default: 1, text. `client_msg_id` default: a random one. */
export type OutgoingMessage = Pick<SendMessageData, "conversation_id" | "content"> &
  Partial<Pick<SendMessageData, "message_type" | "client_msg_id">>;

export interface PendingMessage {
  readonly client_msg_id: string;
  readonly conversation_id: string;
  readonly status: "sending";
  readonly error?: ImError;
}

export interface Client extends Services {
  readonly state: ConnectionState;
  /**
   * Resolves when it is online, and keeps trying until then; from then on it comes back by itself. Rejects when it is closed.
   * An abort closes it.
   */
  connect(options?: { readonly signal?: AbortSignal }): Promise<ConnectedData>;
  close(): void;
  /** @returns removes the listener */
  on<E extends keyof ClientEvents>(event: E, listener: Listener<ClientEvents[E]>): () => void;
  off<E extends keyof ClientEvents>(event: E, listener: Listener<ClientEvents[E]>): void;
  /**
   * Resolves on the ack: Kafka has the message; `message-stored` comes when the back end has it too, or the event `error`. Rejects with an ImError; where that is `retryable`, the same message with the error's
   * client_msg_id can be sent again and is never stored twice.
   */
  sendMessage(message: OutgoingMessage, options?: Omit<CallOptions, "via">): Promise<MessageAckData>;
  /** Over the socket. */
  markRead(position: MarkReadData, options?: Omit<CallOptions, "via">): Promise<void>;
  /** Dropped when it is not online. */
  typing(typing: ClientTypingData): void;
  /** Any unary method by its name; the services' own methods are the same with shorter names. */
  call<M extends keyof Methods & string>(
    method: M,
    request: Methods[M]["request"],
    options?: CallOptions,
  ): Promise<Methods[M]["response"]>;
  /** Messages that are on their way. */
  pending(): Promise<readonly PendingMessage[]>;
}

const defaultTimeoutMs = 10_000;

export function createClient(options: ClientOptions): Client {
  const { timeout_ms: timeoutMs = defaultTimeoutMs } = options;
  const url = addresses(options.url);
  const { on, off, emit } = createEmitter<ClientEvents>();
  const sending = new Map<string, PendingMessage>();

  const getToken = createTokenSource(options.getToken);

  const http = createHttp({
    url: url.http,
    fetch: options.fetch ?? ((...request) => fetch(...request)),
    getToken,
    timeoutMs,
  });

  const connection = createConnection({
    url: url.socket,
    WebSocket: options.WebSocket ?? WebSocket,
    timeoutMs,
    getToken,
    onState: (state) => emit("state", state),
    onError: (error) => emit("error", error),
    onFrame(type, data) {
      const error = type === "error" ? readError(data) : undefined;
      if (error === undefined) {
        emit(type as keyof ClientEvents, data as ClientEvents[keyof ClientEvents]);
      } else {
        emit("error", error);
      }
    },
  });

  const invoke = async (method: string, request: JsonObject, callOptions: CallOptions): Promise<unknown> => {
    const route = routesByMethod.get(method);
    const via = callOptions.via ?? (connection.state === "online" && !route?.endsWith(" public") ? "socket" : "http");
    if (via === "http" && route !== undefined) {
      return http.call(route, request, callOptions);
    }
    const { timeout_ms } = callOptions;
    const frame = { method, request, ...(timeout_ms ? { timeout_ms: wholeMs(timeout_ms) } : {}) };
    return (await connection.link.request("call", frame, callOptions)).response;
  };

  const routesByMethod = new Map<string, string>();
  const services = mapValues(routes, (methods: Readonly<Record<string, string>>, service): object =>
    mapValues(methods, (route, name) => {
      const method = methodName(service, name);
      if (route.endsWith(" stream")) {
        return (request: JsonObject = {}, callOptions: CallOptions = {}) => http.stream(route, request, callOptions);
      }
      routesByMethod.set(method, route);
      return (request: JsonObject = {}, callOptions: CallOptions = {}) => invoke(method, request, callOptions);
    }),
  ) as Services;

  return {
    ...services,
    get state() {
      return connection.state;
    },
    connect: ({ signal } = {}) => connection.connect(signal),
    close: connection.close,
    on,
    off,
    async sendMessage({ message_type = 1, client_msg_id = randomId(), ...message }, callOptions = {}) {
      const { conversation_id } = message;
      sending.set(client_msg_id, { client_msg_id, conversation_id, status: "sending" });
      try {
        const frame = { ...message, message_type, client_msg_id };
        return (await connection.link.request("send-message", frame, callOptions)) as MessageAckData;
      } catch (error) {
        throw error instanceof ImError ? aboutMessage(error, client_msg_id) : error;
      } finally {
        sending.delete(client_msg_id);
      }
    },
    async markRead(position, callOptions = {}) {
      await connection.link.request("mark-read", position, callOptions);
    },
    typing(typing) {
      if (connection.state === "online") {
        connection.link.push("typing", typing);
      }
    },
    call: (method, request, callOptions = {}) =>
      invoke(method, request, callOptions) as Promise<Methods[typeof method]["response"]>,
    pending: async () => [...sending.values()],
  };
}

function aboutMessage(error: ImError, client_msg_id: string): ImError {
  return new ImError(error.code, error.reason, error.message, { ...error, client_msg_id, cause: error.cause });
}

/** Not crypto.randomUUID: a page that came over plain HTTP does not have it. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `auth`, `login` is im.logic.v1.AuthService/Login. */
function methodName(service: string, method: string): string {
  return `${servicesPackage}.${upperFirst(service)}Service/${upperFirst(method)}`;
}

function mapValues<K extends string, T, U>(
  record: { readonly [key in K]: T },
  map: (value: T, key: string) => U,
): Record<K, U> {
  return Object.fromEntries(Object.entries<T>(record).map(([key, value]) => [key, map(value, key)])) as Record<K, U>;
}

function upperFirst(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
