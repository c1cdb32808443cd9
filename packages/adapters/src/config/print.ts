// The configuration for people: what a program would start with.
import type { EffectiveValue } from "./load.ts";

/** A line a key, `server.http_addr = ":8080"  # default`: values as JSON, `null` where there is none, secrets masked. */
export function printConfig(values: readonly EffectiveValue[]): string {
  return values
    .map(({ key, value, source }) => {
      const shown = key.secret && value !== null ? "***" : value;
      return `${key.key} = ${JSON.stringify(shown)}  # ${source}\n`;
    })
    .join("");
}
