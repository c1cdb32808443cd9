// The registry of the embedded default: one process, nothing outside it.
import { Code } from "@connectrpc/connect";
import type { Registration, Registry, ServiceInstance } from "../adapters.ts";
import { failure } from "../errors.ts";

export interface MemoryRegistryOptions {
  /** Milliseconds since 1970; epochs begin there. Default: `Date.now`. */
  readonly now?: () => number;
}

interface Holder {
  instance: ServiceInstance;
  /** When it was written last: the epoch, until its metadata changes. */
  revision: number;
  lose(): void;
}

type OnChange = Parameters<Registry["watch"]>[1];

interface Watcher {
  readonly name: string;
  changed(): void;
}

/**
 * Behaves as the etcd adapter does while etcd is there. Who holds a key here lives, so that the id of an `im-gateway`
 * is never taken over; any other service's is. An epoch is the time of the claim, or one more than the last. No key is ever lost but to another
 * claim, and a watch always works.
 */
export function createMemoryRegistry(options: MemoryRegistryOptions = {}): Registry {
  const { now = Date.now } = options;
  const holders = new Map<string, Holder>();
  const watchers = new Set<Watcher>();
  const closing = new AbortController();
  let lastRevision = 0;

  function changed(name: string): void {
    for (const watcher of [...watchers]) if (watcher.name === name) watcher.changed();
  }

  function nextRevision(): number {
    lastRevision = Math.max(lastRevision + 1, Math.floor(now()));
    return lastRevision;
  }

  function report(name: string, onChange: OnChange): void {
    const found = [...holders.values()]
      .filter(({ instance }) => instance.name === name)
      .sort((one, other) => (one.instance.id < other.instance.id ? -1 : 1));
    onChange(
      found.map(({ instance }) => instance),
      new Map(found.map(({ instance, revision }) => [instance.id, revision])),
    );
  }

  return {
    async register(instance, signal) {
      if (signal.aborted) throw failure(Code.Canceled, "CANCELED", "the claim was given up");
      if (closing.signal.aborted) throw failure(Code.Unavailable, "REGISTRY_CLOSED", "the registry is closed");
      const key = `${instance.name}/${instance.id}`;
      const previous = holders.get(key);
      if (previous !== undefined && instance.name === "im-gateway") {
        const { address, port } = previous.instance;
        throw failure(Code.AlreadyExists, "GATEWAY_ID_TAKEN", `${instance.id} is held by ${address}:${port}`);
      }
      const epoch = nextRevision();
      let lose = (): void => {};
      const lost = new Promise<void>((resolve) => {
        lose = resolve;
      });
      const holder: Holder = { instance, revision: epoch, lose };
      holders.set(key, holder);
      previous?.lose();
      changed(instance.name);
      const registration: Registration = {
        epoch,
        lost,
        async update(metadata) {
          if (holders.get(key) !== holder) return;
          holder.instance = { ...instance, metadata };
          holder.revision = nextRevision();
          changed(instance.name);
        },
        async release() {
          if (holders.get(key) !== holder) return;
          holders.delete(key);
          changed(instance.name);
        },
      };
      return registration;
    },
    watch(name, onChange, signal, onWorking) {
      const ended = AbortSignal.any([signal, closing.signal]);
      if (ended.aborted) return Promise.resolve();
      const watcher: Watcher = { name, changed: () => report(name, onChange) };
      watchers.add(watcher);
      watcher.changed();
      onWorking?.(true);
      return new Promise((resolve) => {
        ended.addEventListener("abort", () => {
          watchers.delete(watcher);
          resolve();
        });
      });
    },
    async close() {
      closing.abort();
      holders.clear();
    },
  };
}
