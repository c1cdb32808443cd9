export * from "./command-line.ts";
export * from "./gateway-config.ts";
export type { ConfigKey, ConfigSchema } from "./keys.ts";
export * from "./load.ts";
export * from "./logic-config.ts";
export * from "./print.ts";
export type {
  AppEnv,
  CoordinatorConfig,
  JwtConfig,
  KafkaConfig,
  LogConfig,
  RedisConfig,
  TopicsConfig,
} from "./shared-sections.ts";
export type { ConfigProblem } from "./sources.ts";
export { type Address, formatAddress, type Notation, toJson } from "./values.ts";
export type { ConfigFile } from "./yaml-file.ts";
