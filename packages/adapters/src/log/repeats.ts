// Bounds how often the same line is written: a fault that repeats, or whoever provokes one, must not fill the disk.
import { setTimeout } from "node:timers";
import type { LogLevel } from "@im-gateway/core";

export interface Line {
  readonly level: LogLevel;
  readonly module: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export interface RepeatsOptions {
  /** Of one level, module and message, so many are written in a window. */
  readonly maxLines: number;
  readonly windowMs: number;
  readonly now: () => number;
  /** @param suppressed how many lines before this one, of its level, module and message, were not written */
  readonly write: (line: Line, suppressed: number) => void;
}

export interface Repeats {
  /** Writes the line, or holds it back. */
  add(line: Line): void;
  /** Writes the last of each kind that is held back. */
  flush(): void;
}

interface Kind {
  readonly sinceMs: number;
  written: number;
  held: number;
  last: Line | undefined;
}

/** Kinds beyond it, within a window, share one for each level. */
const maxKinds = 256;

/**
 * What is held back is not lost: the next line of its kind after the window, or the last one held at the window's end, says how many others
 * were, so that each written line stands for `1 + suppressed`. The window's timer keeps no process alive.
 */
export function createRepeats({ maxLines, windowMs, now, write }: RepeatsOptions): Repeats {
  /** The oldest window first. */
  const kinds = new Map<string, Kind>();
  let timing = false;

  const open = (key: string, sinceMs: number): void => {
    kinds.delete(key);
    kinds.set(key, { sinceMs, written: 1, held: 0, last: undefined });
    if (!timing) startTimer(windowMs);
  };

  // A clock that was put back ends a window too.
  const isOver = ({ sinceMs }: Kind, nowMs: number): boolean => nowMs < sinceMs || nowMs >= sinceMs + windowMs;

  const end = (key: string, { last, held }: Kind): void => {
    kinds.delete(key);
    if (last !== undefined) write(last, held - 1);
  };

  const startTimer = (waitMs: number): void => {
    timing = true;
    setTimeout(() => {
      timing = false;
      const nowMs = now();
      for (const [key, kind] of kinds) {
        if (isOver(kind, nowMs)) end(key, kind);
      }
      for (const { sinceMs } of kinds.values()) {
        startTimer(Math.max(1, sinceMs + windowMs - nowMs));
        break;
      }
    }, waitMs).unref();
  };

  return {
    add(line) {
      const own = `${line.level} ${line.module} ${line.message}`;
      const key = kinds.has(own) || kinds.size < maxKinds ? own : line.level;
      const kind = kinds.get(key);
      if (kind === undefined || isOver(kind, line.atMs)) {
        open(key, line.atMs);
        write(line, kind?.held ?? 0);
      } else if (kind.written < maxLines) {
        kind.written += 1;
        write(line, 0);
      } else {
        kind.held += 1;
        kind.last = line;
      }
    },
    flush() {
      for (const [key, kind] of kinds) end(key, kind);
    },
  };
}
