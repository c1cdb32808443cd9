// Gathers what one turn of the event loop has for each connection and hands it over in one write (docs/architecture.md).
import type { EncodedFrame } from "./adapters.ts";
import type { Connection } from "./connection.ts";

export interface Turn {
  /** Queues a frame; it leaves with all others of this turn. @returns false when the connection is closed */
  send(connection: Connection, frame: EncodedFrame): boolean;
  /** Who has more to send, awaits `ended` first: a turn is not to keep others waiting, nor to hand a socket more than it can take at once. */
  readonly full: boolean;
  /** Resolves when what was gathered has left. */
  ended(): Promise<void>;
}

/** Some tens of milliseconds of work. */
const maxTurnFrames = 10_000;
/** Characters for one connection: well below what may wait for a slow reader. */
const maxTurnLength = 128 * 1024;

/**
 * @param defer runs a function at the end of the turn. Default: a microtask, which every runtime has; `setImmediate` gathers more
 * @param onSlow a reader that does not keep up; its frames are dropped, the caller closes it
 */
export function createTurn(
  defer: (run: () => void) => void = queueMicrotask,
  onSlow: (connection: Connection) => void,
): Turn {
  let dirty: Connection[] = [];
  let frames = 0;
  let full = false;
  const flush = (): void => {
    const connections = dirty;
    dirty = [];
    frames = 0;
    full = false;
    for (const connection of connections) {
      if (!connection.flush()) {
        onSlow(connection);
      }
    }
  };
  return {
    send(connection, frame) {
      const queued = connection.queue(frame);
      if (queued === 0) {
        return false;
      }
      if (queued === 1 && dirty.push(connection) === 1) {
        defer(flush);
      }
      frames += 1;
      full ||= frames >= maxTurnFrames || connection.queuedLength >= maxTurnLength;
      return true;
    },
    get full() {
      return full;
    },
    ended: () => new Promise((resolve) => defer(resolve)),
  };
}
