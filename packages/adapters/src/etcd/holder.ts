// Whether the gateway that holds a key is still alive.
import type { Log, ServiceInstance } from "@im-gateway/core";

const healthTimeoutMs = 1_000;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Asks the holder's `/health`: it lives if that answers within 1 s with the `instance` of its key. */
export async function holderLives(holder: ServiceInstance, fetch: Fetch, log: Log): Promise<boolean> {
  const host = holder.address.includes(":") ? `[${holder.address}]` : holder.address;
  const url = `http://${host}:${holder.port}/health`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(healthTimeoutMs), redirect: "error" });
    const health: unknown = await response.json();
    return (
      typeof health === "object" &&
      health !== null &&
      "instance" in health &&
      typeof health.instance === "string" &&
      health.instance === holder.metadata.instance
    );
  } catch (error) {
    log("info", "the holder of the gateway id does not answer", { url, error });
    return false;
  }
}
