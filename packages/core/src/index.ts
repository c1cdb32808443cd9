export type * from "./adapters.ts";
export * from "./errors.ts";
