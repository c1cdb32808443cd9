// What waits for slow readers, of all sockets together: past the budget the fullest are closed, and at last deliveries wait.
import type { Log } from "../adapters.ts";
import type { Connection } from "../connection.ts";
import { type Counters, count } from "../counters.ts";
import { CloseCode } from "../errors.ts";

/** The sockets, as far as this needs them. */
export interface BufferedSockets {
  all(): readonly Connection[];
  /** What sockets hold that were closed and are not gone yet. */
  readonly leavingBytes: number;
  close(connection: Connection, code: CloseCode, reason: string): void;
}

export interface BufferBudgetOptions {
  readonly maxBytes: number;
  readonly sockets: BufferedSockets;
  readonly counters: Counters;
  readonly log: Log;
}

export interface BufferBudget {
  /** Who has more to deliver waits for this: what was closed still holds too much. Undefined most of the time. */
  readonly room: Promise<void> | undefined;
  /** Looks after it until the signal aborts. */
  start(signal: AbortSignal): void;
}

const intervalMs = 100;
/** All sockets are looked at once a second … */
const looksBetween = 10;
/** … and when so much of the budget was written since. */
const writtenShare = 1 / 8;
/** What stays of the budget when it was overrun. */
const relievedShare = 0.8;
/** Times the budget, with what is leaving: deliveries wait. It ends, since whoever was closed is dropped soon. */
const pauseAt = 2;

export function createBufferBudget({ maxBytes, sockets, counters, log }: BufferBudgetOptions): BufferBudget {
  let seenBytes = 0;
  let looks = 0;
  let pause: { readonly over: Promise<void>; readonly end: () => void } | undefined;

  /** @returns what still waits */
  const relieve = (): number => {
    const behind = sockets
      .all()
      .map((connection) => ({ connection, bytes: connection.bufferedBytes }))
      .filter(({ bytes }) => bytes > 0);
    let sum = behind.reduce((total, { bytes }) => total + bytes, 0);
    if (sum > maxBytes) {
      for (const { connection, bytes } of behind.sort((one, other) => other.bytes - one.bytes)) {
        if (sum <= maxBytes * relievedShare) {
          break;
        }
        sum -= bytes;
        count(counters.refused, "buffered_bytes");
        sockets.close(connection, CloseCode.SLOW_CONSUMER, "slow consumer: all together have too much waiting");
      }
    }
    return sum;
  };

  const resume = (): void => {
    pause?.end();
    pause = undefined;
  };

  const look = (): void => {
    looks += 1;
    const written = counters.bytesOut - seenBytes;
    if (pause === undefined && looks < looksBetween && written < maxBytes * writtenShare) {
      return;
    }
    looks = 0;
    seenBytes = counters.bytesOut;
    const held = relieve() + sockets.leavingBytes;
    if (held <= maxBytes * pauseAt) {
      resume();
    } else if (pause === undefined) {
      log("warn", "deliveries wait until closed sockets are gone", { buffered_bytes: held });
      let end = (): void => {};
      const over = new Promise<void>((resolve) => {
        end = resolve;
      });
      pause = { over, end };
    }
  };

  return {
    get room() {
      return pause?.over;
    },
    start(signal) {
      const timer = setInterval(look, intervalMs);
      const stop = (): void => {
        clearInterval(timer);
        resume();
      };
      signal.addEventListener("abort", stop, { once: true });
    },
  };
}
