// The gateway's own life: idle → running → draining | evicted. Moved here alone.
import { Code } from "@connectrpc/connect";
import type { Log, Registration, Registry, ServiceInstance } from "./adapters.ts";
import { failure } from "./errors.ts";
import type { Farewell } from "./session/farewell.ts";
import { pause, within } from "./wait.ts";

export interface LifecycleOptions {
  readonly gatewayId: string;
  readonly instance: string;
  readonly registry: Registry;
  /** Takes records until the signal aborts. Never rejects. */
  readonly consume: (signal: AbortSignal) => Promise<void>;
  /** Tells im-logic of every connection anew: the key had gone, and the epoch is another. */
  readonly assert: () => void;
  readonly farewell: Farewell;
  /** im-logic is told of the connections that ended, as far as the signal lets it. */
  readonly settle: (signal: AbortSignal) => Promise<void>;
  /** Publishes what is still to be, then no more: after the last record, which may have to be buried. */
  readonly close: () => Promise<void>;
  /** How many records were taken so far. */
  readonly recordsTaken: () => number;
  /** After a drain: nobody will consume this gateway's topic again. Absent: somebody will. */
  readonly removeOwnTopic: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly log: Log;
}

/** Where others reach this gateway's HTTP port, and, as host:port, its internal one. */
export interface GatewayEndpoint {
  readonly address: string;
  readonly port: number;
  readonly internalAddr?: string;
}

export interface Lifecycle {
  /** The revision of the last claim of the gateway's key; 0 before the first. */
  readonly epoch: number;
  /** Why no sockets are taken; undefined while they are. */
  readonly notRunning: string | undefined;
  /** Aborts when the gateway is evicted, or takes no more records since it ends. */
  readonly stopped: AbortSignal;
  start(endpoint: GatewayEndpoint, signal: AbortSignal): Promise<void>;
  /** Another process has this gateway's place. Does nothing but while it runs, or drains. */
  evict(): void;
  /**
   * Once; whoever asks again waits for the same.
   * @param stopListening called when no socket is left: what HTTP requests publish is flushed after it
   */
  drain(signal: AbortSignal, stopListening?: () => Promise<void>): Promise<void>;
}

type State =
  | { readonly t: "idle" }
  | {
      /** Evicted: another process holds this gateway's key. */
      readonly t: "running" | "draining" | "evicted";
      readonly registration: Registration;
      readonly metadata: ServiceInstance["metadata"];
      /** Settles when the consumer has ended. */
      readonly consumed: Promise<void>;
    };

const reasons: Readonly<Record<State["t"], string | undefined>> = {
  idle: "registry: this gateway's key is not claimed yet",
  running: undefined,
  evicted: "registry: another process holds this gateway's key",
  draining: "gateway: draining",
};

/** A drain does not wait longer for the registry to show it. */
const maxMarkMs = 1000;
/** Without a record for so long, im-logic has read of the last ends: until then it sends to the routes that it knows. */
const quietMs = 300;
/** The key is not kept longer for that. */
const maxLingerMs = 5000;

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { gatewayId, instance, registry, consume, assert, farewell, settle, close, recordsTaken, removeOwnTopic, log } =
    options;
  const stop = new AbortController();
  let state: State = { t: "idle" };
  let leaving: Promise<void> | undefined;

  const evict = (): void => {
    if (state.t === "running" || state.t === "draining") {
      log("error", "another process holds this gateway's key, leaving");
      state = { ...state, t: "evicted" };
      farewell.atOnce({ case: "resyncRequired", value: { reason: "GATEWAY_REPLACED" } });
      stop.abort();
    }
  };

  /** Others see it in the registry: where that is away, after the rest. */
  const mark = async ({ registration, metadata }: State & { readonly t: "draining" }): Promise<void> => {
    const marked = registration.update({ ...metadata, state: "draining" });
    const failed = (error: unknown): void =>
      log("warn", "the registry does not show that this gateway drains", { error });
    await within(marked.catch(failed), AbortSignal.timeout(maxMarkMs));
  };

  /** Resolves when no records come any more, or when the signal aborts. */
  const quiet = async (signal: AbortSignal): Promise<void> => {
    for (let before = -1; recordsTaken() !== before && !signal.aborted; ) {
      before = recordsTaken();
      await pause(quietMs, signal);
    }
  };

  const leave = async (signal: AbortSignal, stopListening: () => Promise<void> = async () => {}): Promise<void> => {
    const before = state;
    let closed = 0;
    if (before.t === "running") {
      const draining = { ...before, t: "draining" } as const;
      state = draining;
      await mark(draining);
      closed = await farewell.inWaves(AbortSignal.any([signal, stop.signal]));
    }
    try {
      await stopListening();
      await settle(signal);
      if (closed > 0) {
        await quiet(AbortSignal.any([signal, stop.signal, AbortSignal.timeout(maxLingerMs)]));
      }
    } finally {
      stop.abort();
      if (before.t !== "idle") {
        await before.consumed;
      }
      try {
        await close();
      } finally {
        if (before.t !== "idle") {
          await before.registration.release();
        }
      }
    }
    if (state.t === "draining") {
      await removeOwnTopic?.(signal).catch((error: unknown) => log("warn", "the own topic stays", { error }));
    }
  };

  return {
    get epoch() {
      return state.t === "idle" ? 0 : state.registration.epoch;
    },
    get notRunning() {
      return reasons[state.t];
    },
    stopped: stop.signal,

    async start({ address, port, internalAddr }, signal) {
      const metadata = { instance, ...(internalAddr === undefined ? {} : { internal_addr: internalAddr }) };
      const registration = await registry.register(
        { id: gatewayId, name: "im-gateway", address, port, metadata },
        signal,
        assert,
      );
      if (leaving !== undefined) {
        // Asked to leave while the claim was waited for: that came too late to be taken back.
        await registration.release();
        throw failure(Code.Aborted, "DRAINED", "the gateway was drained before it had started");
      }
      // After the state, since the consumer asks for the epoch.
      const consumed = Promise.resolve().then(() => consume(stop.signal));
      state = { t: "running", registration, metadata, consumed };
      void registration.lost.then(evict);
    },

    evict,

    drain(signal, stopListening) {
      leaving ??= leave(signal, stopListening);
      return leaving;
    },
  };
}
