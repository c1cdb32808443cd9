// In which form a program writes its log.
import type { AppEnv, LogConfig } from "../config/index.ts";

/** What `log.format` says, else `pretty` where people read along: on a terminal, in development. */
export function logFormat(
  { appEnv, log }: { readonly appEnv: AppEnv; readonly log: LogConfig },
  onTerminal: boolean,
): "json" | "pretty" {
  return log.format ?? (appEnv === "development" && onTerminal ? "pretty" : "json");
}
