// What createGateway takes, and what it takes for granted.
import type { DescService } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import {
  AuthService,
  ConversationService,
  FriendService,
  GroupService,
  MessageService,
  UserService,
} from "@im-gateway/proto";
import type { Consumer, Log, Observer, Producer, Registry, RemoveTopic, Topic } from "./adapters.ts";
import type { Documents } from "./documents.ts";
import type { Page } from "./http.ts";
import type { Limits } from "./limits/admission.ts";

export interface GatewayOptions {
  /** Names this gateway in records and in etcd; its downstream topic ends in it. */
  readonly gatewayId: string;
  readonly version: string;
  readonly producer: Producer;
  readonly consumer: Consumer;
  readonly registry: Registry;
  /** To im-logic. */
  readonly transport: Transport;
  readonly log: Log;
  readonly jwt: {
    /** HS256 key. */
    readonly secret: string;
    /** When set, tokens of other issuers are bad. */
    readonly issuer?: string;
    /** Default: at+jwt. */
    readonly acceptedTypes?: readonly string[];
  };
  /** The API. Default: the services of im.logic.v1. */
  readonly services?: readonly DescService[];
  /** What is served at /openapi.json, /asyncapi.json and /docs. Default: the contract's own, where `services` is the default, else nothing. */
  readonly documents?: () => Promise<Documents>;
  /** Static answers to GET, by their path. Default: none. */
  readonly pages?: ReadonlyMap<string, Page>;
  readonly topics?: Partial<GatewayTopics>;
  readonly websocket?: Partial<WebSocketLimits>;
  /** What is taken at most. Defaults: `defaultLimits`. */
  readonly limits?: Partial<Limits>;
  /** What the process uses of the memory that it may: at 1 nothing new is taken. Default: it is not looked at. */
  readonly memoryUse?: () => number;
  /** Default: 1 MiB. */
  readonly maxBodyBytes?: number;
  /** Query keys that are passed over though they are no field of the request. Default: none. */
  readonly allowedQueryKeys?: readonly string[];
  /** What callers of the internal port have to know. Default: nothing, so it must be reached by back ends only. */
  readonly internalToken?: string;
  /** Called when a back end asks for the drain, as SIGTERM would. Default: `drain`, within 30 s. */
  readonly requestDrain?: () => void;
  /** Over how long a drain spreads the closes of sockets, so that their reconnects are; fewer than 50 sockets take less. Default: 8 s. */
  readonly drainWindowMs?: number;
  /** How long a revocation holds: the longest life of an access token. Default: 24 h. */
  readonly revocationHoldMs?: number;
  /** Called with the gateway's own topic after its drain, where no gateway will have this id again. Default: the topic stays. */
  readonly removeTopic?: RemoveTopic;
  /** Further reasons not to be ready. */
  readonly unready?: () => readonly string[];
  /** Told how long publishing, calls and requests took. */
  readonly observer?: Observer;
  /** Runs a function at the end of this turn of the event loop. Default: queueMicrotask; where there is setImmediate it gathers more. */
  readonly defer?: (run: () => void) => void;
  /** Unix milliseconds. Default: Date.now. */
  readonly now?: () => number;
}

/** The shared topics are created where they are missing; the gateway's own is the prefix and its id. */
export interface GatewayTopics {
  /** Default: upstream, 6 partitions. */
  readonly upstream: Topic;
  /** Default: downstream-. */
  readonly downstreamPrefix: string;
  /** Default: user-events, 6 partitions. */
  readonly userEvents: Topic;
  /** Default: dead-letter, 1 partition. */
  readonly deadLetter: Topic;
}

export interface WebSocketLimits {
  /** Silence after which the server pings. Default: 25 s. */
  readonly heartbeatIntervalMs: number;
  /** Silence after that ping which closes 4009. Default: 10 s. */
  readonly heartbeatTimeoutMs: number;
  /** Time for the first `auth` frame. Default: 10 s. */
  readonly authTimeoutMs: number;
  /** Told to clients in `connected`; the socket's adapter closes 1009 beyond it. Default: 64 KiB. */
  readonly maxFrameBytes: number;
  /** What may wait for one slow reader. Default: 1 MiB. */
  readonly sendBufferBytes: number;
  /** How long records are kept for a user who was here, or may be about to come because the gateway has just started. Default: 60 s; 0: none are. */
  readonly resumeWindowMs: number;
}

export const defaultServices: readonly DescService[] = [
  AuthService,
  UserService,
  ConversationService,
  MessageService,
  GroupService,
  FriendService,
];

export const defaultTopics: GatewayTopics = {
  upstream: { name: "upstream", partitions: 6 },
  downstreamPrefix: "downstream-",
  userEvents: { name: "user-events", partitions: 6 },
  deadLetter: { name: "dead-letter", partitions: 1 },
};

export const defaultWebSocketLimits: WebSocketLimits = {
  heartbeatIntervalMs: 25_000,
  heartbeatTimeoutMs: 10_000,
  authTimeoutMs: 10_000,
  maxFrameBytes: 64 * 1024,
  sendBufferBytes: 1024 * 1024,
  resumeWindowMs: 60_000,
};

export const defaultMaxBodyBytes: number = 1024 * 1024;

export const defaultDrainWindowMs: number = 8_000;

/** Of a drain that a back end asked for, where the embedding program has none of its own. */
export const defaultDrainMs: number = 30_000;

/** As long as im-logic's access tokens live by default. */
export const defaultRevocationHoldMs: number = 24 * 60 * 60 * 1000;

/** Of a gateway's own topic (CONTRACT §5). */
export const downstreamRetentionMs: number = 60 * 60 * 1000;
