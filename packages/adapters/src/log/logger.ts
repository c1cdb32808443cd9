// Log lines: what core's `Log` gets, as JSON for programs or as text for people.
import process from "node:process";
import type { Log, LogLevel } from "@im-gateway/core";
import pino from "pino";
import { escapeControls } from "./control-characters.ts";
import { plainError } from "./plain-error.ts";
import { prettyLine } from "./pretty.ts";
import { createRepeats, type Line } from "./repeats.ts";

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
  /** How many lines of one level, module and message are written in a window. Default: 10 in 10 s. */
  readonly repeats?: { readonly maxLines: number; readonly windowMs: number };
}

export interface Logger {
  /** The `Log` of one part of the program, named on its lines. */
  module(name: string): Log;
  /** Writes what is held back. Standard output needs no call: it happens at the process's exit. */
  flush(): void;
}

/** Of the strings among the fields, and of the message: no caller can fill the disk by one line. */
const maxTextLength = 1024;
const defaultRepeats = { maxLines: 10, windowMs: 10_000 };
/** Who runs the process waits for these. */
const neverHeld: ReadonlySet<string> = new Set(["listening", "draining", "ended"]);

/**
 * A JSON line has `level`, `module`, `message`, the logger's fields, `timestamp` (RFC 3339, UTC) and the fields of the call, in this order.
 * An error among the fields becomes `{message, code, reason, cause}`, a fault of our own with its stack on lines of level error and in a
 * logger of level debug; a field whose name is taken gets a `_` behind it. Lines above debug that repeat are held back, and counted in
 * `suppressed`.
 */
export function createLogger({
  level = "info",
  format = "json",
  fields: always = {},
  write,
  now = Date.now,
  repeats: limits = defaultRepeats,
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
  const taken = new Set(["level", "module", "message", "timestamp", "suppressed", ...Object.keys(always)]);

  const writeLine = ({ level: lineLevel, module, message, fields, atMs }: Line, suppressed: number): void => {
    const timestamp = new Date(atMs).toISOString();
    const line: Record<string, unknown> = { module, message, ...always, timestamp };
    for (const [name, value] of Object.entries(fields)) {
      line[taken.has(name) ? `${name}_` : name] =
        value instanceof Error ? plainError(value, lineLevel === "error" || level === "debug") : plain(name, value);
    }
    if (suppressed > 0) line.suppressed = suppressed;
    logger[lineLevel](line);
  };

  const repeats = createRepeats({ ...limits, now, write: writeLine });
  if (write === undefined) process.once("exit", repeats.flush);

  return {
    module:
      (module) =>
      (lineLevel, message, fields = {}) => {
        if (!logger.isLevelEnabled(lineLevel)) return;
        const line = { level: lineLevel, module, message: cut(message), fields, atMs: now() };
        if (lineLevel === "debug" || neverHeld.has(message)) writeLine(line, 0);
        else repeats.add(line);
      },
    flush: repeats.flush,
  };
}

/** Whatever was thrown has the shape of an error. */
function plain(name: string, value: unknown): unknown {
  return name === "error" && typeof value !== "object" ? { message: cut(String(value)) } : cut(value);
}

function cut<T>(value: T): T | string {
  return typeof value === "string" && value.length > maxTextLength ? `${value.slice(0, maxTextLength)}…` : value;
}
