// How a gateway's clients leave it: all at once, or in waves, so that their reconnects are spread over a window.
import type { Connection } from "../connection.ts";
import { CloseCode } from "../errors.ts";
import type { ServerFrameData } from "../frame/codec.ts";
import { pause } from "../wait.ts";
import type { Connections } from "./connections.ts";

export interface FarewellOptions {
  readonly connections: Connections;
  /** Over how long many closes are spread. */
  readonly windowMs: number;
}

export interface Farewell {
  /** A last frame for everybody, then 1012. */
  atOnce(last: ServerFrameData): void;
  /**
   * `goaway` and 1012 to everybody, in waves. Who waits for an answer is closed after it, or after 5 s.
   * @param signal the rest is closed at once
   * @returns how many there were, when none is left
   */
  inWaves(signal: AbortSignal): Promise<number>;
}

/** Fewer than these are no load for anybody: they need no window. */
const few = 50;
const closeMs = 10;
const waveMs = 50;
const maxAnswerMs = 5000;
const minReconnectMs = 1000n;
const maxReconnectMs = 10_000n;

export function createFarewell({ connections, windowMs }: FarewellOptions): Farewell {
  /** @param together how many reconnects the hint has to spread */
  const goaway = (connection: Connection, together: number): void => {
    if (connection.identity !== undefined) {
      const hint = BigInt(together * closeMs);
      const reconnectWithinMs = hint < minReconnectMs ? minReconnectMs : hint > maxReconnectMs ? maxReconnectMs : hint;
      connections.answer(connection, { case: "goaway", value: { reason: "restart", reconnectWithinMs } }, "");
    }
  };

  const close = (connection: Connection): void => connections.close(connection, CloseCode.SERVICE_RESTART, "restart");

  return {
    atOnce(last) {
      connections.tellAll(last);
      for (const connection of connections.all()) {
        close(connection);
      }
    },

    async inWaves(signal) {
      const everybody = connections.all();
      const spreadMs = Math.min(windowMs, everybody.length < few ? everybody.length * closeMs : windowMs);
      // What a busy moment kept back is made up for slowly: no second has more than a quarter beyond its share.
      const maxWave = Math.ceil((1.25 * everybody.length * waveMs) / (spreadMs + waveMs));
      const startedMs = performance.now();
      const answering = new Map<Connection, number>();
      for (let told = 0; told < everybody.length || answering.size > 0; ) {
        const elapsedMs = performance.now() - startedMs;
        const planned = Math.ceil((everybody.length * (elapsedMs + waveMs)) / (spreadMs + waveMs));
        const due = signal.aborted ? everybody.length : Math.min(planned, told + maxWave, everybody.length);
        const wave = everybody.slice(told, due);
        for (const connection of wave) {
          goaway(connection, wave.length);
          answering.set(connection, elapsedMs);
        }
        told = due;
        for (const [connection, sinceMs] of answering) {
          if (connection.unanswered === 0 || signal.aborted || elapsedMs - sinceMs >= maxAnswerMs) {
            close(connection);
            answering.delete(connection);
          }
        }
        if (told < everybody.length || answering.size > 0) {
          await pause(waveMs, signal);
        }
      }
      return everybody.length;
    },
  };
}
