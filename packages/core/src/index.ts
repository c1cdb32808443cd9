export type * from "./adapters.ts";
export * from "./errors.ts";
export { decodeRecord, encodeRecord } from "./record/codec.ts";
export { newTrace, type Trace, traceOf } from "./trace.ts";
