// Frames for users who are not here just now: kept for the resume window, bounded in bytes a user and in all. Nobody has a timer.
import type { EncodedFrame } from "../adapters.ts";
import { type Counters, countDelivery } from "../counters.ts";
import { isLossy } from "../frame/codec.ts";
import type { Place } from "../frame/place.ts";

/** A frame that waits, and for a new-message its place in its conversation. */
export interface Kept {
  readonly frame: EncodedFrame;
  readonly place: Place | undefined;
  /** Its type, to be counted when it goes out; undefined where it has been counted. */
  readonly type: string | undefined;
}

export interface Absence {
  /** Oldest first. */
  readonly kept: readonly Kept[];
  /** There were more: some had to go. */
  readonly gap: boolean;
}

export interface Ring {
  /** Users who were here within the window, or for whom something is kept. */
  readonly users: number;
  /** What the kept frames take, about. */
  readonly bytes: number;
  /** Frames that it holds, with those that are gone and not let go of yet: at most as many more, or 1,024. */
  readonly frames: number;
  /** Records flow: from the first time on, the window of the gateway's own start runs. */
  started(): void;
  /** Records are gone that nobody here has seen: whoever they may have been for is told on coming back. */
  lost(): void;
  /** The user's last connection is gone. */
  left(userId: string): void;
  /** Whether a frame for this user, who is not here, is to be kept: it is no lossy one, and the user was here within the window, or the gateway started within it. */
  wants(userId: string, type: string): boolean;
  keep(userId: string, kept: Kept): void;
  /** What a connection that is gone had not got yet. */
  restore(userId: string, absence: Absence): void;
  /** The user is here again. @returns undefined when there is nothing to give and nothing to say */
  returned(userId: string): Absence | undefined;
  /** Forgets those whose window is over. */
  sweep(): void;
}

export interface RingOptions {
  /** 0: nothing is kept. */
  readonly windowMs: number;
  /** Default: 256 KiB. */
  readonly maxUserBytes?: number;
  /** Default: 64 MiB. */
  readonly maxBytes?: number;
  readonly now: () => number;
}

interface Absent {
  /** When the user left; of one that was not here yet when the gateway started. */
  leftMs: number;
  /** Of the last kept one. */
  keptMs: number;
  items: Item[];
  bytes: number;
  gap: boolean;
}

interface Item {
  readonly absent: Absent;
  readonly bytes: number;
  /** undefined once it has been given or put out: what is let go of later is small. */
  kept: Kept | undefined;
}

/** It has gone out. */
export function countKept(counters: Counters, { type }: Kept): void {
  if (type !== undefined) {
    countDelivery(counters, type, 1);
  }
}

/** Of an item besides its text, about. */
const itemBytes = 200;

export function createRing({
  windowMs,
  maxUserBytes = 256 * 1024,
  maxBytes = 64 * 1024 * 1024,
  now,
}: RingOptions): Ring {
  let startedMs: number | undefined;
  let lostMs = Number.NEGATIVE_INFINITY;
  const absents = new Map<string, Absent>();
  /** Of all users, oldest first, from `head` on; with some that are gone, `goneItems` of them. */
  let order: Item[] = [];
  let head = 0;
  let goneItems = 0;
  let bytes = 0;

  /** In large steps, so that an item costs no more than its push. */
  const compact = (): void => {
    if (goneItems >= 1024 && 2 * goneItems >= order.length) {
      order = order.filter(({ kept }) => kept !== undefined);
      head = 0;
      goneItems = 0;
    }
  };

  const drop = (item: Item): void => {
    item.kept = undefined;
    goneItems += 1;
    item.absent.bytes -= item.bytes;
    bytes -= item.bytes;
  };

  const putOut = (absent: Absent): void => {
    const oldest = absent.items.shift();
    if (oldest !== undefined) {
      drop(oldest);
      absent.gap = true;
    }
  };

  const forget = (userId: string, absent: Absent): void => {
    absent.items.forEach(drop);
    absents.delete(userId);
    compact();
  };

  const absentOf = (userId: string, leftMs: number): Absent => {
    const known = absents.get(userId);
    if (known !== undefined) {
      return known;
    }
    const absent: Absent = { leftMs, keptMs: now(), items: [], bytes: 0, gap: false };
    absents.set(userId, absent);
    return absent;
  };

  const keep = (userId: string, kept: Kept): void => {
    const nowMs = now();
    const absent = absentOf(userId, startedMs ?? nowMs);
    const item: Item = { absent, bytes: 2 * kept.frame.text.length + itemBytes, kept };
    absent.keptMs = nowMs;
    absent.items.push(item);
    absent.bytes += item.bytes;
    bytes += item.bytes;
    order.push(item);
    while (absent.bytes > maxUserBytes) {
      putOut(absent);
    }
    while (bytes > maxBytes) {
      const oldest = order[head];
      head += 1;
      if (oldest?.kept !== undefined) {
        putOut(oldest.absent);
      }
    }
    compact();
  };

  return {
    get users() {
      return absents.size;
    },
    get bytes() {
      return bytes;
    },
    get frames() {
      return order.length;
    },

    started() {
      startedMs ??= now();
    },

    lost() {
      lostMs = now();
      for (const absent of absents.values()) {
        absent.gap = true;
      }
    },

    left(userId) {
      if (windowMs > 0) {
        const nowMs = now();
        absentOf(userId, nowMs).leftMs = nowMs;
      }
    },

    wants(userId, type) {
      if (isLossy(type)) {
        return false;
      }
      const absent = absents.get(userId);
      const nowMs = now();
      if (nowMs - (absent?.leftMs ?? startedMs ?? nowMs) < windowMs) {
        return true;
      }
      if (absent !== undefined) {
        // What is kept of it already is not all of it any more.
        absent.gap ||= absent.items.length > 0;
      }
      return false;
    },

    keep,

    restore(userId, { kept, gap }) {
      if (windowMs === 0) {
        return;
      }
      for (const frame of kept) {
        keep(userId, frame);
      }
      absentOf(userId, now()).gap ||= gap;
    },

    returned(userId) {
      const absent = absents.get(userId);
      if (absent === undefined) {
        const wanted = lostMs - (startedMs ?? lostMs) < windowMs && now() - lostMs < windowMs;
        return wanted ? { kept: [], gap: true } : undefined;
      }
      const kept = absent.items.flatMap((item) => item.kept ?? []);
      const { gap } = absent;
      forget(userId, absent);
      return kept.length > 0 || gap ? { kept, gap } : undefined;
    },

    sweep() {
      const endedMs = now() - windowMs;
      for (const [userId, { leftMs, keptMs }] of absents) {
        if (leftMs <= endedMs && keptMs <= endedMs) {
          const absent = absents.get(userId);
          if (absent !== undefined) {
            forget(userId, absent);
          }
        }
      }
    },
  };
}
