// Frames that do not go out at once: kept for users who are not here, and held for connections that resume.
import type { EncodedFrame } from "../adapters.ts";
import type { Connection } from "../connection.ts";
import { type Counters, count } from "../counters.ts";
import { encodeServerFrame, type ServerFrameData, serverFrameType } from "../frame/codec.ts";
import type { Place } from "../frame/place.ts";
import type { Turn } from "../turn.ts";
import { Gate, type Through } from "./gate.ts";
import { type Absence, countKept, createRing, type Kept, type Ring } from "./ring.ts";

export interface HeldOptions {
  readonly turn: Pick<Turn, "send">;
  readonly counters: Counters;
  readonly limits: { readonly resumeWindowMs: number; readonly sendBufferBytes: number };
  readonly now: () => number;
}

/** How a `resume` ends. */
export interface Settlement {
  readonly messageId: string;
  /** @param overflowed messages were dropped meanwhile */
  readonly closing: (overflowed: boolean) => ServerFrameData;
  /** What the connection has by its cursors and by what was sent. */
  readonly through: Through;
  /** The part of it that records which are still on their way may repeat. */
  readonly changed: Through;
  /** Without im-logic's answer: what was kept goes out before the closing frame instead of after it. */
  readonly keptFirst: boolean;
}

export interface Held {
  readonly ring: Pick<Ring, "started" | "lost" | "users" | "bytes">;
  /** Keeps a frame for those of the users that may be back soon. @returns how many that are */
  keep(userIds: readonly string[], type: string, place: Place | undefined, encode: () => EncodedFrame): number;
  /** Connections with a gate. */
  readonly gates: number;
  /** A connection of the user is there; `connected` has been queued. */
  arrived(connection: Connection, userId: string): void;
  /** @param last the user has no other connection here */
  left(connection: Connection, userId: string, last: boolean): void;
  /** A live frame: it goes out, or waits. @param place of a new-message @returns false when the connection is closed */
  send(connection: Connection, frame: EncodedFrame, place?: Place): boolean;
  /** The client has sent something else than `resume`: what was kept waits no longer. */
  heard(connection: Connection): void;
  /**
   * A `resume` has come: live frames wait until `settle`.
   * @returns what was kept for the user, oldest first; undefined while another one is being answered
   */
  hold(connection: Connection): readonly Kept[] | undefined;
  /** The one closing frame of a `resume`, and all that waited for it. */
  settle(connection: Connection, settlement: Settlement): void;
  sweep(): void;
  stop(): void;
}

/** A `resume` that the client sends first thing comes within one to two of these. */
const graceMs = 125;
/** How long after a `resume` a record that was written before it may come. */
const lateMs = 10_000;
/** Characters that all connections together may have waiting; past it a resume that holds more ends in `resync-required`. */
const maxHeldLength = 64 * 1024 * 1024;

export function createHeld({ turn, counters, limits, now }: HeldOptions): Held {
  const ring = createRing({ windowMs: limits.resumeWindowMs, now });
  const gated = new Set<Connection>();
  /** Two generations for one timer: who has been in grace since before it was set, and who came later. */
  let older = new Set<Connection>();
  let younger = new Set<Connection>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Of all gates. */
  let heldLength = 0;

  const open = (connection: Connection, gate: Gate): void => {
    connection.gate = gate;
    gated.add(connection);
  };

  const give = (connection: Connection, frames: readonly Kept[]): boolean => {
    for (const kept of frames) {
      if (!turn.send(connection, kept.frame)) {
        return false;
      }
      countKept(counters, kept);
    }
    return true;
  };

  const say = (connection: Connection, data: ServerFrameData, messageId: string): void => {
    if (turn.send(connection, encodeServerFrame(data, messageId, now()))) {
      count(counters.framesOut, serverFrameType(data));
    }
  };

  const giveKept = (connection: Connection, { kept, gap }: Absence): void => {
    give(connection, kept);
    if (gap) {
      say(connection, { case: "resyncRequired", value: { reason: "RECORDS_DROPPED" } }, "");
    }
  };

  const release = (connection: Connection): void => {
    if (connection.gate?.t === "grace") {
      giveKept(connection, connection.gate.release());
    }
  };

  const tick = (): void => {
    const due = older;
    older = younger;
    younger = new Set();
    timer = older.size > 0 ? setTimeout(tick, graceMs) : undefined;
    due.forEach(release);
  };

  return {
    ring,
    get gates() {
      return gated.size;
    },

    keep(userIds, type, place, encode) {
      let frame: EncodedFrame | undefined;
      let kept = 0;
      for (const userId of userIds) {
        if (ring.wants(userId, type)) {
          frame ??= encode();
          ring.keep(userId, { frame, place, type });
          kept += 1;
        }
      }
      return kept;
    },

    arrived(connection, userId) {
      const absence = ring.returned(userId);
      if (absence !== undefined) {
        open(connection, new Gate(absence));
        younger.add(connection);
        timer ??= setTimeout(tick, graceMs);
      }
    },

    left(connection, userId, last) {
      const { gate } = connection;
      connection.gate = undefined;
      gated.delete(connection);
      older.delete(connection);
      younger.delete(connection);
      if (last) {
        ring.left(userId);
      }
      if (gate !== undefined) {
        heldLength -= gate.heldLength;
        // Of a user who has another connection too: what nobody got waits for the next one.
        const { kept, gap } = last ? gate.abandon() : gate.abandonKept();
        if (last || kept.length > 0 || gap) {
          ring.restore(userId, { kept, gap });
        }
      }
    },

    send(connection, frame, place) {
      const { gate } = connection;
      if (gate === undefined) {
        return turn.send(connection, frame);
      }
      release(connection);
      heldLength -= gate.heldLength;
      const room = heldLength + frame.text.length > maxHeldLength ? 0 : limits.sendBufferBytes;
      const passing = gate.take({ frame, place, type: undefined }, room);
      heldLength += gate.heldLength;
      return give(connection, passing);
    },

    heard: release,

    hold(connection) {
      if (connection.gate === undefined) {
        open(connection, new Gate());
        return [];
      }
      return connection.gate.hold();
    },

    settle(connection, { messageId, closing, through, changed, keptFirst }) {
      const { gate } = connection;
      if (gate?.t !== "holding") {
        return;
      }
      const data = closing(gate.overflowed);
      heldLength -= gate.heldLength;
      const { kept, live } = gate.settle(through, changed, now() + lateMs);
      if (keptFirst) {
        give(connection, kept);
      }
      say(connection, data, messageId);
      give(connection, keptFirst ? live : [...kept, ...live]);
    },

    sweep() {
      ring.sweep();
      const nowMs = now();
      for (const connection of gated) {
        if (connection.gate?.isOver(nowMs) === true) {
          connection.gate = undefined;
          gated.delete(connection);
        }
      }
    },

    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
