export type { CallOptions } from "./call-options.ts";
export {
  type Client,
  type ClientEvents,
  type ClientOptions,
  createClient,
  type OutgoingMessage,
  type PendingMessage,
} from "./client.ts";
export type { ConnectionState } from "./connection.ts";
export { type ErrorCode, ImError } from "./errors.ts";
export type { Methods, Services } from "./gen/methods.ts";
export * from "./gen/types.ts";
