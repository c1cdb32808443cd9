// The gateway's own life: idle → running → evicted | drained. Moved here alone.
import type { Log, Registration, Registry } from "./adapters.ts";
import type { ServerFrameData } from "./frame/codec.ts";

export interface LifecycleOptions {
  readonly gatewayId: string;
  readonly instance: string;
  readonly registry: Registry;
  /** Takes records until the signal aborts. Never rejects. */
  readonly consume: (signal: AbortSignal) => Promise<void>;
  /** A last frame for every connection, then 1012. */
  readonly sayGoodbye: (farewell: ServerFrameData) => void;
  /** What is still to be published is, as far as the signal lets it. */
  readonly flush: (signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/** Where others reach this gateway's HTTP port, and, as host:port, its internal one. */
export interface GatewayEndpoint {
  readonly address: string;
  readonly port: number;
  readonly internalAddr?: string;
}

export interface Lifecycle {
  /** The revision that claimed the gateway's key; 0 before that. */
  readonly epoch: number;
  /** Why no sockets are taken; undefined while they are. */
  readonly notRunning: string | undefined;
  /** Aborts when the gateway is evicted, or has drained. */
  readonly stopped: AbortSignal;
  start(endpoint: GatewayEndpoint, signal: AbortSignal): Promise<void>;
  /** Another process has this gateway's place. */
  evict(): void;
  /** Once; whoever asks again waits for the same. */
  drain(signal: AbortSignal): Promise<void>;
}

type State =
  | { readonly t: "idle" }
  | {
      /** Evicted: another process holds this gateway's key. */
      readonly t: "running" | "evicted" | "drained";
      readonly registration: Registration;
      /** Settles when the consumer has ended. */
      readonly consumed: Promise<void>;
    };

const reasons: Readonly<Record<State["t"], string | undefined>> = {
  idle: "registry: this gateway's key is not claimed yet",
  running: undefined,
  evicted: "registry: another process holds this gateway's key",
  drained: "gateway: draining",
};

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { gatewayId, instance, registry, consume, sayGoodbye, flush, log } = options;
  const stop = new AbortController();
  let state: State = { t: "idle" };
  let leaving: Promise<void> | undefined;

  const evict = (): void => {
    if (state.t === "running") {
      log("error", "another process has this gateway's place, leaving");
      state = { ...state, t: "evicted" };
      sayGoodbye({ case: "resyncRequired", value: { reason: "GATEWAY_REPLACED" } });
      stop.abort();
    }
  };

  const leave = async (signal: AbortSignal): Promise<void> => {
    const before = state;
    if (before.t === "running") {
      state = { ...before, t: "drained" };
      sayGoodbye({ case: "goaway", value: { reason: "restart", reconnectWithinMs: 1000n } });
    }
    try {
      await flush(signal);
    } finally {
      stop.abort();
      if (before.t !== "idle") {
        await before.consumed;
        await before.registration.release();
      }
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
      );
      state = { t: "running", registration, consumed: consume(stop.signal) };
      void registration.lost.then(evict);
    },

    evict,

    drain(signal) {
      leaving ??= leave(signal);
      return leaving;
    },
  };
}
