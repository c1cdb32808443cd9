// The registry on etcd.
import { Code } from "@connectrpc/connect";
import { failure, type Log, type Registration, type Registry } from "@im-gateway/core";
import { createClient } from "./client.ts";
import type { Fetch } from "./holder.ts";
import { register } from "./registration.ts";
import { watchService } from "./watch.ts";

export interface EtcdRegistryOptions {
  /** `host:port`, or an http(s) URL. */
  readonly endpoints: readonly string[];
  /** How long a key outlives its process; etcd counts whole seconds. Default 10 s. */
  readonly leaseTtlMs?: number;
  readonly log: Log;
  /** Monotonic milliseconds, for the lease's clock. Default: `performance.now`. */
  readonly now?: () => number;
  /** Asks the `/health` of who holds a gateway's id. Default: the global one. */
  readonly fetch?: Fetch;
}

/**
 * Every call has a deadline: 2 s, or a third of the lease's life if that is less. A lost lease is granted anew, under
 * the same epoch; that the key is another's, or was deleted, is noticed within a third of the lease's life. `close` ends
 * the watches and releases what is registered.
 */
export function createEtcdRegistry(options: EtcdRegistryOptions): Registry {
  const { endpoints, leaseTtlMs = 10_000, log, now = () => performance.now(), fetch = globalThis.fetch } = options;
  const callTimeoutMs = Math.min(2_000, leaseTtlMs / 3);
  const client = createClient(endpoints, callTimeoutMs);
  const closing = new AbortController();
  const registrations: Promise<Registration>[] = [];

  return {
    async register(instance, signal) {
      if (closing.signal.aborted) throw failure(Code.Unavailable, "REGISTRY_CLOSED", "the registry is closed");
      const ended = AbortSignal.any([signal, closing.signal]);
      const registration = register(instance, { client, leaseTtlMs, callTimeoutMs, now, fetch, log }, ended);
      registrations.push(registration);
      return registration;
    },
    watch(name, onChange, signal) {
      const ended = AbortSignal.any([signal, closing.signal]);
      return watchService(name, onChange, { client, callTimeoutMs, log }, ended);
    },
    async close() {
      closing.abort();
      await Promise.allSettled(registrations.map(async (registration) => (await registration).release()));
      client.close();
    },
  };
}
