// The peers of a service, and which of them gets the next call.
import type { Log } from "@im-gateway/core";
import type { CallEnd } from "./call-end.ts";
import { authority, type EndpointSource } from "./endpoints.ts";
import { createPeer, type Peer } from "./peer.ts";
import { unreachable } from "./status.ts";

export interface PoolOptions {
  readonly endpoints: EndpointSource;
  readonly connectTimeoutMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface Pool {
  /**
   * The less loaded of two connected peers, taken at random among those that are well; one that is silent, or failed its calls of late, is
   * taken only when there is no better. While none is connected: the first that connects.
   * Rejects with `unavailable` when there is no endpoint (at once) or none connects, and with the reason of `end`.
   * @param avoid taken only when there is no other
   */
  pick(end: CallEnd, avoid?: Peer): Promise<Peer>;
  /** Some peer is connected. While none is, asking tries them all again. */
  isConnected(): boolean;
  close(): void;
}

export function createPool(options: PoolOptions): Pool {
  const { endpoints, connectTimeoutMs, now, log } = options;
  const peers = new Map<string, Peer>();
  const closing = new AbortController();
  /** Counts the changes of the peers: who waits for one that has gone meanwhile looks again. */
  let version = 0;

  function update(): void {
    version += 1;
    const current = new Map(endpoints.current().map((endpoint) => [authority(endpoint), endpoint]));
    for (const [name, peer] of peers) {
      if (current.has(name)) continue;
      peers.delete(name);
      peer.retire();
    }
    for (const [name, endpoint] of current) {
      if (peers.has(name)) continue;
      const peer = createPeer(endpoint, { connectTimeoutMs, now, log });
      peers.set(name, peer);
      void peer.connect();
    }
  }
  endpoints.subscribe(update, closing.signal);
  update();

  return {
    async pick(end, avoid) {
      for (;;) {
        const seen = version;
        const ready: Peer[] = [];
        for (const peer of peers.values()) {
          if (!peer.isReady()) void peer.connect();
          else if (peer !== avoid) ready.push(peer);
        }
        const picked = lessLoadedOfTwo(healthiest(ready)) ?? (await end.race(firstConnected([...peers.values()])));
        if (picked !== undefined && (seen === version || picked.isReady())) return picked;
        if (seen === version) throw unreachable();
      }
    },
    isConnected() {
      const connected = [...peers.values()].some((peer) => peer.isReady());
      if (!connected) {
        for (const peer of peers.values()) void peer.connect();
      }
      return connected;
    },
    close() {
      closing.abort();
      for (const peer of peers.values()) peer.close();
      peers.clear();
    },
  };
}

/** An endpoint is never left out when there is no other: its failures say more than ours would. */
function healthiest(ready: readonly Peer[]): readonly Peer[] {
  const byState = { well: [] as Peer[], silent: [] as Peer[], ejected: [] as Peer[] };
  for (const peer of ready) byState[peer.health.state()].push(peer);
  return [byState.well, byState.silent, byState.ejected].find(({ length }) => length > 0) ?? [];
}

function lessLoadedOfTwo(peers: readonly Peer[]): Peer | undefined {
  const first = Math.floor(Math.random() * peers.length);
  const second = (first + 1 + Math.floor(Math.random() * (peers.length - 1))) % peers.length;
  const [one, other] = [peers[first], peers[second]];
  return one !== undefined && other !== undefined && other.inFlight < one.inFlight ? other : one;
}

/** Undefined when there are none or all fail. */
async function firstConnected(peers: readonly Peer[]): Promise<Peer | undefined> {
  return new Promise((resolve) => {
    const attempts = peers.map(async (peer) => {
      if (await peer.connect()) resolve(peer);
    });
    void Promise.all(attempts).then(() => resolve(undefined));
  });
}
