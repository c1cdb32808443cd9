// Gathers what one turn of the event loop has for each connection and hands it over in one write (docs/architecture.md).
import type { Connection } from "./connection.ts";

export interface Turn {
  /** Queues a frame; it leaves with all others of this turn. */
  send(connection: Connection, frame: Uint8Array): void;
}

/**
 * @param defer runs a function at the end of the turn. Default: a microtask, which every runtime has; `setImmediate` gathers more
 * @param onSlow a reader that does not keep up; its frames are dropped, the caller closes it
 */
export function createTurn(
  defer: (run: () => void) => void = queueMicrotask,
  onSlow: (connection: Connection) => void,
): Turn {
  let dirty: Connection[] = [];
  const flush = (): void => {
    const connections = dirty;
    dirty = [];
    for (const connection of connections) {
      if (!connection.flush()) {
        onSlow(connection);
      }
    }
  };
  return {
    send(connection, frame) {
      if (connection.queue(frame) && dirty.push(connection) === 1) {
        defer(flush);
      }
    },
  };
}
