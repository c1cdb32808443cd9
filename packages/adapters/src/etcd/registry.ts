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
  /** Asks the `/health` of who holds a gateway's id. Default: the global one. */
  readonly fetch?: Fetch;
}

/**
 * Every call has a deadline: 2 s, or a third of the lease's life if that is less. That the key has gone, or is another's,
 * is noticed within a third of the lease's life; one that has gone is claimed anew, and the revision of that claim is the
 * epoch from then on. Revisions rise as long as etcd keeps its data: an etcd that lost all of it hands out lower ones.
 * `close` ends the watches and releases what is registered.
 */
export function createEtcdRegistry(options: EtcdRegistryOptions): Registry {
  const { endpoints, leaseTtlMs = 10_000, log, fetch = globalThis.fetch } = options;
  const callTimeoutMs = Math.min(2_000, leaseTtlMs / 3);
  const client = createClient(endpoints, callTimeoutMs);
  const closing = new AbortController();
  const registrations: Promise<Registration>[] = [];

  return {
    async register(instance, signal, onReclaimed) {
      if (closing.signal.aborted) throw failure(Code.Unavailable, "REGISTRY_CLOSED", "the registry is closed");
      const ended = AbortSignal.any([signal, closing.signal]);
      const claiming = { client, endpoints, leaseTtlMs, callTimeoutMs, fetch, log };
      const registration = register(instance, claiming, ended, onReclaimed);
      registrations.push(registration);
      return registration;
    },
    watch(name, onChange, signal, onWorking) {
      const ended = AbortSignal.any([signal, closing.signal]);
      return watchService(name, onChange, { client, callTimeoutMs, log }, ended, onWorking);
    },
    async close() {
      closing.abort();
      await Promise.allSettled(registrations.map(async (registration) => (await registration).release()));
      client.close();
    },
  };
}
