// What APP_ENV=production refuses: the default secret, weak secrets, and everything embedded.
import type { AppEnv, CoordinatorConfig, KafkaConfig } from "./shared-sections.ts";

interface Configured {
  readonly appEnv: AppEnv;
}

/** RFC 7518 §3.2: a key of HS256 has at least 32 bytes, which also excludes the default. */
export function hasSecret({ appEnv, jwt }: Configured & { readonly jwt: { readonly secret: string } }): boolean {
  return appEnv === "development" || new TextEncoder().encode(jwt.secret).length >= 32;
}

export const secretMessage =
  "production wants a secret of its own, of at least 32 bytes: set jwt.secret (IM__JWT__SECRET), the same for every gateway and im-logic";

export function hasKafka({ appEnv, kafka }: Configured & { readonly kafka?: KafkaConfig | undefined }): boolean {
  return appEnv === "development" || kafka !== undefined;
}

export const kafkaMessage = "production refuses the bus inside the process: set kafka.brokers (IM__KAFKA__BROKERS)";

export function hasCoordinator({
  appEnv,
  coordinator,
}: Configured & { readonly coordinator?: CoordinatorConfig | undefined }): boolean {
  return appEnv === "development" || coordinator !== undefined;
}

export const coordinatorMessage =
  "production refuses the registry inside the process: set coordinator.endpoints (IM__COORDINATOR__ENDPOINTS)";
