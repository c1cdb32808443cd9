export type * from "./adapters.ts";
export type { Counters, TopicRole } from "./counters.ts";
export * from "./errors.ts";
export { createGateway, type Gateway, type Upgrade } from "./gateway.ts";
export type { Identity } from "./identity/token.ts";
export type { GatewayOptions, GatewayTopics, WebSocketLimits } from "./options.ts";
export { decodeRecord, encodeRecord } from "./record/codec.ts";
export { createDeadLetters, type DeadLetters } from "./record/dead-letter.ts";
export { newTrace, type Trace, traceIdOf, traceOf } from "./trace.ts";
