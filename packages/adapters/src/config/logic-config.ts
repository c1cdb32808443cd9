// What im-logic can be told.
import * as v from "valibot";
import { type ConfigSchema, configSchema, key, optionalKey } from "./keys.ts";
import * as production from "./production.ts";
import type { AppEnv, CoordinatorConfig, JwtConfig, KafkaConfig, LogConfig, RedisConfig } from "./shared-sections.ts";
import * as shared from "./shared-sections.ts";
import { type Address, canBothListen, dialAddress, listenAddress, text } from "./values.ts";

export interface LogicConfig {
  readonly appEnv: AppEnv;
  readonly grpcAddr: Address;
  readonly httpAddr: Address;
  readonly advertiseAddr?: Address | undefined;
  readonly dataDir: string;
  readonly jwt: JwtConfig;
  readonly kafka?: KafkaConfig | undefined;
  readonly coordinator?: CoordinatorConfig | undefined;
  readonly redis?: RedisConfig | undefined;
  readonly log: LogConfig;
}

/** im-logic's configuration. */
export const logicConfig: ConfigSchema<LogicConfig> = configSchema(
  v.pipe(
    v.strictObject({
      appEnv: shared.appEnv,
      grpcAddr: key("grpc_addr", listenAddress(), ":9001", "Where gateways call"),
      httpAddr: key("http_addr", listenAddress(), ":9002", "Where /health, /ready and /metrics are"),
      advertiseAddr: optionalKey(
        "advertise_addr",
        dialAddress(),
        "The address that gateways find in the registry; default: grpc_addr's port at this machine's address",
      ),
      dataDir: key("data_dir", text(), "./data", "The folder of the database"),
      jwt: shared.jwt,
      kafka: shared.kafka,
      coordinator: shared.coordinator,
      redis: shared.redis,
      log: shared.log,
    }),
    v.forward(v.partialCheck([["appEnv"], ["jwt", "secret"]], production.hasSecret, production.secretMessage), [
      "jwt",
      "secret",
    ]),
    v.forward(v.partialCheck([["appEnv"], ["kafka"]], production.hasKafka, production.kafkaMessage), ["kafka"]),
    v.forward(v.partialCheck([["appEnv"], ["coordinator"]], production.hasCoordinator, production.coordinatorMessage), [
      "coordinator",
    ]),
    v.forward(v.partialCheck([["kafka"]], shared.topicsDiffer, shared.topicsMessage), ["kafka", "topics"]),
    v.forward(
      v.partialCheck(
        [["grpcAddr"], ["httpAddr"]],
        ({ grpcAddr, httpAddr }) => canBothListen(grpcAddr, httpAddr),
        "the same port as grpc_addr: only one of them could be opened",
      ),
      ["httpAddr"],
    ),
  ),
);
