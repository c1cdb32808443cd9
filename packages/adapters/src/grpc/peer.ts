// The connection to one endpoint and the calls that run on it.
import { Client, type ClientOptions, connectivityState, credentials } from "@grpc/grpc-js";
import type { Log } from "@im-gateway/core";
import { authority, type Endpoint } from "./endpoints.ts";
import { createPeerHealth, type PeerHealth } from "./peer-health.ts";
import { unreachable } from "./status.ts";

export interface PeerOptions {
  /** How long one attempt to connect may take. */
  readonly connectTimeoutMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

/** What grpc-js returns for a call. */
export interface RunningCall {
  cancel(): void;
}

export interface Peer {
  /** Calls that have not ended. */
  readonly inFlight: number;
  readonly health: PeerHealth;
  /** Connected: a call leaves at once. */
  isReady(): boolean;
  /**
   * Connects if need be; false when the endpoint refused or stayed silent. Callers share one attempt. Never rejects.
   */
  connect(): Promise<boolean>;
  /**
   * Starts a call; `ended` has to be called when it is over.
   * @throws ConnectError unavailable when the peer was closed
   */
  start<C extends RunningCall>(open: (client: Client) => C): C;
  ended(call: RunningCall): void;
  /** Closes the connection as soon as no call runs on it. */
  retire(): void;
  /** Cancels what runs and closes the connection. */
  close(): void;
}

const channelOptions: ClientOptions = {
  // A connection without calls stays: readiness asks for it.
  "grpc.client_idle_timeout_ms": 2 ** 31 - 1,
  // A dead connection is found by a ping, 10 s into a silent call; a live one answers within 5 s.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.dns_min_time_between_resolutions_ms": 5_000,
  // An http_proxy in the environment is for the way out, not for the back ends.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // Each transport has its own connections.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
};

// grpc-js waits for ever for a peer that accepts TCP and then stays mute (grpc/grpc-node#2785): after this long it
// gets a new connection. Not sooner, because an abandoned one stays open until the peer or the kernel ends it.
const muteConnectionMs = 20_000;

export function createPeer(endpoint: Endpoint, options: PeerOptions): Peer {
  const { connectTimeoutMs, now, log } = options;
  const name = authority(endpoint);
  const health = createPeerHealth(now, (forMs) => {
    log("warn", "endpoint fails its calls and is left out", { endpoint: name, for_ms: forMs });
  });
  const calls = new Set<RunningCall>();
  let client = createClient(name);
  let state: "open" | "retired" | "closed" = "open";
  let attempt: Promise<boolean> | undefined;
  let mute: { readonly sinceMs: number } | undefined;
  let reachable: boolean | undefined;

  function report(connected: boolean): boolean {
    if (reachable !== connected) {
      reachable = connected;
      log(connected ? "info" : "warn", connected ? "endpoint connected" : "endpoint unreachable", { endpoint: name });
    }
    return connected;
  }

  async function tryToConnect(): Promise<boolean> {
    const untilMs = Date.now() + connectTimeoutMs;
    for (;;) {
      if (state === "closed") return false;
      const channel = client.getChannel();
      const current = channel.getConnectivityState(true);
      if (current === connectivityState.READY) {
        mute = undefined;
        return report(true);
      }
      // grpc-js goes on trying by itself, with its backoff.
      if (current === connectivityState.TRANSIENT_FAILURE) {
        mute = undefined;
        return report(false);
      }
      const timedOut = await new Promise<boolean>((resolve) => {
        channel.watchConnectivityState(current, untilMs, (late) => resolve(late !== undefined));
      });
      if (timedOut) break;
    }
    mute ??= { sinceMs: Date.now() };
    if (state === "open" && Date.now() - mute.sinceMs >= muteConnectionMs && calls.size === 0) {
      mute = undefined;
      client.close();
      client = createClient(name);
    }
    return report(false);
  }

  function close(): void {
    if (state === "closed") return;
    state = "closed";
    for (const call of [...calls]) call.cancel();
    client.close();
  }

  return {
    get inFlight() {
      return calls.size;
    },
    health,
    isReady: () => state === "open" && client.getChannel().getConnectivityState(false) === connectivityState.READY,
    connect() {
      attempt ??= tryToConnect().finally(() => {
        attempt = undefined;
      });
      return attempt;
    },
    start(open) {
      if (state === "closed") throw unreachable();
      const call = open(client);
      calls.add(call);
      return call;
    },
    ended(call) {
      calls.delete(call);
      if (state === "retired" && calls.size === 0) close();
    },
    retire() {
      if (state !== "open") return;
      state = "retired";
      if (calls.size === 0) close();
    },
    close,
  };
}

function createClient(name: string): Client {
  return new Client(`dns:${name}`, credentials.createInsecure(), channelOptions);
}
