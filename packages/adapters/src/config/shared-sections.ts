// The sections that the gateway and im-logic have in common. Durations are in milliseconds.
import * as v from "valibot";
import { key, type OptionalSection, optionalKey, requiredKey, type Section } from "./keys.ts";
import { type Address, choice, dialAddress, duration, integer, mediaTypes, name, servers, text } from "./values.ts";

export type AppEnv = "development" | "production";

export interface JwtConfig {
  /** The HS256 key, as UTF-8. */
  readonly secret: string;
  readonly issuer?: string | undefined;
  readonly acceptedTypes: readonly string[];
  readonly accessTokenExpireMs: number;
  readonly refreshTokenExpireMs: number;
}

export interface KafkaConfig {
  /** "host:port" each. */
  readonly brokers: readonly string[];
  readonly topics: TopicsConfig;
  readonly publishTimeoutMs: number;
  readonly partitions: number;
  /** Absent: the smaller of 3 and the number of the cluster's brokers. */
  readonly replicationFactor?: number | undefined;
}

export interface TopicsConfig {
  readonly upstream: string;
  readonly downstreamPrefix: string;
  readonly userEvents: string;
  readonly deadLetter: string;
}

export interface CoordinatorConfig {
  /** "host:port" each. */
  readonly endpoints: readonly string[];
  readonly leaseTtlMs: number;
}

export interface RedisConfig {
  readonly addr: Address;
}

export interface LogConfig {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Absent: the command chooses, by whether people read its output. */
  readonly format?: "json" | "pretty" | undefined;
}

/** What both programs take for the key of their tokens while nothing is configured, so that they understand each other. */
const developmentSecret = "your-secret-key";

const tenYearsMs = 87_600 * 3_600_000;

export const appEnv: v.GenericSchema<unknown, AppEnv> = key(
  "app_env",
  choice("development", "production"),
  "development",
  "`production` refuses the default secret and the embedded parts",
  { env: "APP_ENV" },
);

export const jwt: Section<JwtConfig> = v.optional(
  v.strictObject({
    secret: key(
      "secret",
      text(),
      developmentSecret,
      "The key that im-logic signs tokens with (HS256) and the gateway checks them with; the same for all of them",
      { secret: true },
    ),
    issuer: optionalKey("issuer", text(), "The `iss` of tokens; where it is set, a token of another issuer is refused"),
    acceptedTypes: key(
      "accepted_types",
      mediaTypes(),
      ["at+jwt"],
      "The `typ` headers of the tokens that the gateway accepts",
    ),
    accessTokenExpireMs: key(
      "access_token_expire",
      duration({ max: tenYearsMs }),
      "24h",
      "How long an access token is valid",
    ),
    refreshTokenExpireMs: key(
      "refresh_token_expire",
      duration({ max: tenYearsMs }),
      "168h",
      "How long a refresh token is valid",
    ),
  }),
  {},
);

/** Bounds: topics have at most 249 characters, and a gateway's is the prefix and its id of at most 128. */
export const kafka: OptionalSection<KafkaConfig> = v.optional(
  v.strictObject({
    brokers: requiredKey("brokers", servers(), "Where Kafka's brokers are; with none, records stay in the process"),
    topics: v.optional(
      v.strictObject({
        upstream: key("upstream", name(249), "upstream", "Messages going up to im-logic"),
        downstreamPrefix: key(
          "downstream_prefix",
          name(120),
          "downstream-",
          "Messages coming down: the prefix, then the gateway's id",
        ),
        userEvents: key("user_events", name(249), "user-events", "Who connected and disconnected"),
        deadLetter: key("dead_letter", name(249), "dead-letter", "Records that nobody could read"),
      }),
      {},
    ),
    publishTimeoutMs: key(
      "publish_timeout",
      duration(),
      "4s",
      "How long a record may wait for Kafka before its sender gets an error that it may retry",
    ),
    partitions: key(
      "partitions",
      integer({ min: 1, max: 10_000 }),
      "6",
      "Partitions of the shared topics that are made",
    ),
    replicationFactor: optionalKey(
      "replication_factor",
      integer({ min: 1, max: 32_767 }),
      "Copies of the topics that are made; default: the smaller of 3 and the number of brokers, those that are up then or those in kafka.brokers if these are more",
    ),
  }),
);

export const topicsMessage = "two of the topics have one name: each wants one of its own";

export function topicsDiffer({ kafka }: { readonly kafka?: KafkaConfig | undefined }): boolean {
  const { upstream, userEvents, deadLetter } = kafka?.topics ?? {};
  return kafka === undefined || new Set([upstream, userEvents, deadLetter]).size === 3;
}

export const coordinator: OptionalSection<CoordinatorConfig> = v.optional(
  v.strictObject({
    endpoints: requiredKey("endpoints", servers(), "Where etcd is; with none, the process knows only itself"),
    leaseTtlMs: key(
      "lease_ttl",
      duration({ min: 2000 }),
      "10s",
      "How long etcd keeps the key of a process that has gone silent",
    ),
  }),
);

export const redis: OptionalSection<RedisConfig> = v.optional(
  v.strictObject({
    addr: requiredKey("addr", dialAddress(), "Where Redis is; without effect yet"),
  }),
);

export const log: Section<LogConfig> = v.optional(
  v.strictObject({
    level: key(
      "level",
      choice("debug", "info", "warn", "error"),
      "info",
      "The least important lines that are written",
      {
        env: "LOG_LEVEL",
      },
    ),
    format: optionalKey(
      "format",
      choice("json", "pretty"),
      "`json`, a line an event, or `pretty`, for people; default: pretty on a terminal in development, else json",
    ),
  }),
  {},
);
