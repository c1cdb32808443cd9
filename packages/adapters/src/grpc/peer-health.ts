// Whether a peer that is connected deserves calls: one that fails them is left out for a while (outlier ejection).
import { Code } from "@connectrpc/connect";
import { reasonOf } from "@im-gateway/core";
import type { CallFailure } from "./status.ts";

/** A call at one peer, from its start. */
export interface Attempt {
  /** The peer answered, be it with an error that is the caller's business. */
  answered(): void;
  /** @param failure undefined: nothing came before the deadline */
  failed(failure: CallFailure | undefined): void;
  /** The caller gave up: that says nothing of the peer. */
  abandoned(): void;
}

export interface PeerHealth {
  /** "ejected": out until its time is over; "silent": calls wait for it, and nothing has come of late. */
  state(): "well" | "silent" | "ejected";
  begin(): Attempt;
}

/** Failures in a row. */
const ejectAfter = 5;
const ejectionMs = 10_000;
const maxEjectionMs = 60_000;
/** Of good answers, after which an ejection counts as the first again. */
const forgivenMs = 120_000;
/** A call that has waited so long while nothing else came from the peer keeps others away from it. Shorter deadlines say nothing of a peer. */
const silentMs = 1000;

/** @param onEjected told for how long, and after how many failures in a row */
export function createPeerHealth(now: () => number, onEjected: (forMs: number) => void): PeerHealth {
  /** Of the attempts that run, oldest first. */
  const running = new Set<{ readonly sinceMs: number }>();
  let lastAnswerMs = now();
  let failures = 0;
  let ejections = 0;
  let ejectedUntilMs = 0;
  let wellSinceMs = now();

  const fail = (): void => {
    failures += 1;
    const nowMs = now();
    if (failures < ejectAfter || nowMs < ejectedUntilMs) {
      return;
    }
    ejections = nowMs - wellSinceMs > forgivenMs ? 1 : ejections + 1;
    const forMs = Math.min(ejections * ejectionMs, maxEjectionMs);
    ejectedUntilMs = nowMs + forMs;
    wellSinceMs = ejectedUntilMs;
    // The first failure after that ejects it again.
    failures = ejectAfter - 1;
    onEjected(forMs);
  };

  return {
    state() {
      const nowMs = now();
      if (nowMs < ejectedUntilMs) {
        return "ejected";
      }
      const [oldest] = running;
      const sinceMs = Math.max(oldest?.sinceMs ?? nowMs, lastAnswerMs);
      return oldest !== undefined && nowMs - sinceMs >= silentMs ? "silent" : "well";
    },
    begin() {
      const attempt = { sinceMs: now() };
      running.add(attempt);
      return {
        answered() {
          running.delete(attempt);
          lastAnswerMs = now();
          failures = 0;
        },
        failed(failure) {
          running.delete(attempt);
          if (failure === undefined || reasonOf(failure.error) === "LOGIC_TIMEOUT") {
            if (now() - attempt.sinceMs >= silentMs) {
              fail();
            }
          } else if (isPeersFault(failure)) {
            fail();
          } else {
            lastAnswerMs = now();
            failures = 0;
          }
        },
        abandoned() {
          running.delete(attempt);
        },
      };
    },
  };
}

/** A lost connection, or an error that says more of the peer than of the request. */
function isPeersFault({ error }: CallFailure): boolean {
  const reason = reasonOf(error);
  return (
    reason === "LOGIC_UNAVAILABLE" ||
    (reason === "LOGIC_ERROR" && error.code !== Code.Unimplemented) ||
    error.code === Code.Unavailable
  );
}
