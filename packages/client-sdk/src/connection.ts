// The connection that comes back by itself: idle → connecting → online → waiting → connecting …, closed when it can not or shall not.
import { type ReconnectWindow, reconnectDelayMs } from "./backoff.ts";
import { closeError, reconnects, tokenExpired } from "./close-codes.ts";
import { abortError, ImError } from "./errors.ts";
import type { ConnectedData, JsonObject } from "./gen/types.ts";
import { type Link, type LinkOptions, openLink } from "./link.ts";
import type { TokenSource } from "./token.ts";

export type ConnectionState = "idle" | "connecting" | "online" | "waiting" | "closed";

export interface ConnectionOptions extends Pick<LinkOptions, "url" | "WebSocket" | "timeoutMs" | "onFrame"> {
  readonly getToken: TokenSource;
  readonly onState: (state: ConnectionState) => void;
  /** Why it was closed, or why a token could not be had. */
  readonly onError: (error: ImError) => void;
}

export interface Connection {
  readonly state: ConnectionState;
  /** The link while it is online. @throws ImError unavailable */
  readonly link: Link;
  /** Resolves when it is online, tries at once when it waits. Rejects when it is closed; an abort closes it. */
  connect(signal?: AbortSignal): Promise<ConnectedData>;
  close(): void;
}

type Phase =
  | { readonly t: "idle" | "closed" }
  | { readonly t: "connecting"; link?: Link }
  | { readonly t: "online"; readonly link: Link; readonly connected: ConnectedData; readonly sinceMs: number }
  | { readonly t: "waiting"; readonly timer: ReturnType<typeof setTimeout> };

interface Waiter {
  readonly resolve: (connected: ConnectedData) => void;
  readonly reject: (error: ImError) => void;
}

/** A connection that stood this long was a good one: the next attempts begin anew. */
const steadyMs = 10_000;

export function createConnection(options: ConnectionOptions): Connection {
  const { getToken, onState, onFrame, onError } = options;
  let phase: Phase = { t: "idle" };
  let attempt = 0;
  let window: ReconnectWindow | undefined;
  let refresh = false;
  const waiters: Waiter[] = [];

  const enter = (next: Phase): void => {
    phase = next;
    onState(next.t);
  };

  const dial = async (): Promise<void> => {
    const dialing: Phase & { t: "connecting" } = { t: "connecting" };
    enter(dialing);
    try {
      const token = await getToken(refresh);
      if (phase === dialing) {
        refresh = false;
        dialing.link = open(token, dialing);
      }
    } catch (thrown) {
      if (phase !== dialing) {
        return;
      }
      // What the platform does not let us open it will never open: mixed content, a content security policy.
      const error =
        thrown instanceof ImError
          ? thrown
          : new ImError("internal", "NO_WEBSOCKET", "the socket can not be opened", { cause: thrown });
      if (error.retryable) {
        wait();
        onError(error);
      } else {
        end(error);
      }
    }
  };

  const open = (token: string, dialing: Phase): Link => {
    let mine = dialing;
    const link = openLink({
      ...options,
      token,
      onOnline(connected) {
        mine = { t: "online", link, connected, sinceMs: Date.now() };
        enter(mine);
        for (const { resolve } of waiters.splice(0)) {
          resolve(connected);
        }
      },
      onFrame(type, data) {
        if (type === "goaway") {
          window = data as ReconnectWindow & JsonObject;
        } else if (type === "expiring") {
          void renew(link);
        }
        onFrame(type, data);
      },
      onClosed(code, reason) {
        if (phase !== mine) {
          return;
        }
        if (!reconnects(code)) {
          end(closeError(code, reason));
          return;
        }
        refresh = code === tokenExpired;
        if (phase.t === "online" && Date.now() - phase.sinceMs > steadyMs) {
          attempt = 0;
        }
        wait();
      },
    });
    return link;
  };

  /** A fresh token in band; without one the gateway closes 4003 in its time. */
  const renew = async (link: Link): Promise<void> => {
    try {
      const token = await getToken(true);
      if (phase.t === "online" && phase.link === link) {
        link.push("auth", { token });
      }
    } catch (error) {
      if (!(error instanceof ImError)) {
        throw error;
      }
      onError(error);
    }
  };

  const wait = (): void => {
    const delayMs = reconnectDelayMs(attempt, Math.random(), window);
    attempt += 1;
    window = undefined;
    enter({ t: "waiting", timer: setTimeout(() => void dial(), delayMs) });
  };

  /** @param error why, where it was not asked for */
  const end = (error: ImError, tell = true): void => {
    if (phase.t === "waiting") {
      clearTimeout(phase.timer);
    } else if (phase.t === "connecting" || phase.t === "online") {
      phase.link?.close();
    }
    attempt = 0;
    window = undefined;
    // Not who connects anew when told of it.
    const ended = waiters.splice(0);
    enter({ t: "closed" });
    for (const { reject } of ended) {
      reject(error);
    }
    if (tell) {
      onError(error);
    }
  };

  const close = (): void => {
    if (phase.t !== "closed") {
      end(new ImError("canceled", "CLIENT_CLOSED", "closed by the client"), false);
    }
  };

  return {
    get state() {
      return phase.t;
    },
    get link() {
      if (phase.t === "online") {
        return phase.link;
      }
      throw new ImError("unavailable", "NOT_CONNECTED", `not connected: ${phase.t}`);
    },
    close,
    async connect(signal) {
      if (signal?.aborted) {
        throw abortError(signal);
      }
      if (phase.t === "online") {
        return phase.connected;
      }
      const online = new Promise<ConnectedData>((resolve, reject) => waiters.push({ resolve, reject }));
      const abort = (): void => end(abortError(signal ?? AbortSignal.abort()), false);
      signal?.addEventListener("abort", abort);
      if (phase.t === "waiting") {
        clearTimeout(phase.timer);
      }
      if (phase.t !== "connecting") {
        void dial();
      }
      try {
        return await online;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    },
  };
}
