// Log lines: what core's `Log` gets, as JSON for programs or as text for people.
import type { Log, LogLevel } from "@im-gateway/core";
import pino from "pino";
import { escapeControls } from "./control-characters.ts";
import { plainError } from "./plain-error.ts";
import { prettyLine } from "./pretty.ts";

export interface LoggerOptions {
  /** The least important lines that are written. Default: info. */
  readonly level?: LogLevel;
  /** Default: json. */
  readonly format?: "json" | "pretty";
  /** On every line: `{ gateway_id }`. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Gets each line with its newline. Default: standard output, synchronously, so that no line is lost at an exit. */
  readonly write?: (line: string) => void;
  /** Milliseconds since the epoch. Default: Date.now. */
  readonly now?: () => number;
}

export interface Logger {
  /** The `Log` of one part of the program, named on its lines. */
  module(name: string): Log;
}

/**
 * A JSON line has `level`, `module`, `message`, the logger's fields, `timestamp` (RFC 3339, UTC) and the fields of the call, in this order.
 * An error among the fields becomes `{message, code, reason, cause}`, at level debug with its stack; a field whose name is taken gets a `_`
 * behind it.
 */
export function createLogger({
  level = "info",
  format = "json",
  fields: always = {},
  write,
  now = Date.now,
}: LoggerOptions = {}): Logger {
  const output = write === undefined ? pino.destination({ dest: 1, sync: true }) : { write };
  const logger = pino(
    {
      level,
      // pino writes the level and then what it is handed, in order: the contract has an order of its own for the rest.
      base: null,
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {},
    },
    {
      write(line) {
        const json = line.trimEnd();
        output.write(`${escapeControls(format === "json" ? json : prettyLine(json))}\n`);
      },
    },
  );
  const taken = new Set(["level", "module", "message", "timestamp", ...Object.keys(always)]);

  return {
    module:
      (module) =>
      (lineLevel, message, fields = {}) => {
        if (!logger.isLevelEnabled(lineLevel)) return;
        const line: Record<string, unknown> = { module, message, ...always, timestamp: new Date(now()).toISOString() };
        for (const [name, value] of Object.entries(fields)) {
          line[taken.has(name) ? `${name}_` : name] =
            value instanceof Error ? plainError(value, level === "debug") : value;
        }
        logger[lineLevel](line);
      },
  };
}
