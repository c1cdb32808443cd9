// Tells people who comes and who goes: online-status frames, not more of them than a bound.
import { setTimeout as delay } from "node:timers/promises";
import { type Log, traceOf } from "@im-gateway/core";
import type { Announcement, Announcements } from "./announcements.ts";
import type { Downstream, Outgoing } from "./downstream.ts";
import { frame } from "./fanout.ts";
import type { Presences } from "./presences.ts";
import type { Store } from "./store.ts";

export interface OnlineStatusOptions {
  readonly store: Store;
  readonly announcements: Announcements;
  readonly presences: Presences;
  readonly downstream: Downstream;
  readonly log: Log;
  readonly now: () => number;
}

export interface OnlineStatus {
  /** Announces what is due, several times a second, until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

interface Told {
  readonly userId: string;
  readonly outgoing: readonly Outgoing[];
}

const sweepMs = 200;
/** People told, not announcements: what one announcement costs depends on its audience. Whoever waits is announced as they are then. */
export const toldPerSecond = 5000;
/** What one sweep may spend at most; an announcement that costs more is paid for by those after it. */
const maxCredit = 1000;
/** Kafka did not take one. */
const pauseMs = 1000;

export function createOnlineStatus(options: OnlineStatusOptions): OnlineStatus {
  const { store, announcements, presences, downstream, log, now } = options;
  let credit = maxCredit;
  let creditAtMs = now();
  let pausedUntilMs = 0;

  function announce({ userId, online, lastSeenMs }: Announcement): Told {
    const audience = presences.audience(userId);
    credit -= Math.max(1, new Set(audience.map((route) => route.userId)).size);
    const data = { user_id: userId, online, last_seen: Math.floor(lastSeenMs / 1000) };
    const { traceId, traceparent } = traceOf(null);
    const trace = { traceId, headers: {}, kafkaHeaders: { traceparent } };
    return { userId, outgoing: frame("online-status", data, "", audience, trace) };
  }

  function sweep(): Told[] {
    const nowMs = now();
    credit = Math.min(maxCredit, credit + (Math.max(0, nowMs - creditAtMs) * toldPerSecond) / 1000);
    creditAtMs = nowMs;
    if (credit <= 0 || nowMs < pausedUntilMs) {
      return [];
    }
    const told: Told[] = [];
    for (const announcement of announcements.due(maxCredit)) {
      const { userId, announced, online } = announcement;
      if (announced !== online) {
        if (credit <= 0) {
          break;
        }
        told.push(announce(announcement));
      }
      announcements.told(userId, online);
    }
    return told;
  }

  async function send({ userId, outgoing }: Told): Promise<void> {
    if (!(await downstream.offer(outgoing))) {
      pausedUntilMs = now() + pauseMs;
      announcements.notTold(userId);
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    const sending = new Set<Promise<void>>();
    announcements.restarted();
    while (!signal.aborted) {
      try {
        for (const told of store.transaction(sweep)) {
          const sent = send(told)
            .catch((error: unknown) => log("error", "an online-status was lost", { user_id: told.userId, error }))
            .finally(() => sending.delete(sent));
          sending.add(sent);
        }
      } catch (error) {
        log("error", "online-status failed", { error });
      }
      // Rejects when the signal aborts, and then the loop ends.
      await delay(sweepMs, undefined, { signal }).catch(() => undefined);
    }
    await Promise.all(sending);
  }

  return { run };
}
