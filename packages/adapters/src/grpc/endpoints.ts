// Where a service's instances listen: found through the registry, or fixed by configuration.
import type { Log, Registry } from "@im-gateway/core";

export interface Endpoint {
  /** A host name or an IP address, IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface EndpointSource {
  /** What is known now, without doubles; empty when nothing is. The same array until it changes. */
  current(): readonly Endpoint[];
  /** Calls `changed` after every change until the signal aborts. */
  subscribe(changed: () => void, signal: AbortSignal): void;
}

export interface EndpointsOptions {
  readonly registry: Registry;
  readonly serviceName: string;
  /** Used as long as the registry knows no instance. */
  readonly fallback?: Endpoint;
  readonly log: Log;
}

export interface Endpoints extends EndpointSource {
  /** Stops watching. What is known stays known. */
  close(): Promise<void>;
}

/**
 * The instances of a service as the registry lists them. While it lists none, the fallback, or without one the last
 * instances that it listed: after an outage of the registry their leases may be over though they live, and an address
 * that may answer is better than none. While the registry is away the last list stays.
 */
export function createEndpoints(options: EndpointsOptions): Endpoints {
  const { registry, serviceName, fallback, log } = options;
  const closing = new AbortController();
  const listeners = new Set<() => void>();
  let known: readonly Endpoint[] = fallback === undefined ? [] : [fallback];

  const watching = registry
    .watch(
      serviceName,
      (instances) => {
        const found = distinct(instances);
        const next = found.length > 0 ? found : fallback === undefined ? known : [fallback];
        if (sameEndpoints(known, next)) return;
        known = next;
        log("info", "endpoints changed", {
          service: serviceName,
          endpoints: known.map(authority),
          discovered: found.length,
        });
        for (const changed of [...listeners]) changed();
      },
      closing.signal,
    )
    .catch((cause: unknown) => {
      log("error", "discovery ended", { service: serviceName, error: cause });
    });

  return {
    current: () => known,
    subscribe(changed, signal) {
      if (signal.aborted) return;
      listeners.add(changed);
      signal.addEventListener("abort", () => listeners.delete(changed), { once: true });
    },
    async close() {
      closing.abort();
      await watching;
    },
  };
}

/** Endpoints that never change. */
export function fixedEndpoints(endpoints: readonly Endpoint[]): EndpointSource {
  const known = distinct(endpoints);
  return { current: () => known, subscribe() {} };
}

/** `host:port`, an IPv6 address in brackets; names the endpoint in logs and maps. */
export function authority({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function distinct(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return [...new Map(endpoints.map(({ address, port }) => [authority({ address, port }), { address, port }])).values()];
}

function sameEndpoints(one: readonly Endpoint[], other: readonly Endpoint[]): boolean {
  const names = new Set(one.map(authority));
  return names.size === other.length && other.every((endpoint) => names.has(authority(endpoint)));
}
