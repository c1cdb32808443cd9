// What a gateway or im-logic counts, read where Prometheus reads it.

import type { GatewayAddress } from "./world.ts";

export interface Scrape {
  readonly text: string;
  /** By series: `im_gateway_ready`, `im_gateway_http_requests_total{method="GET",…}`. */
  readonly values: ReadonlyMap<string, number>;
}

export async function scrape(url: string): Promise<Scrape> {
  const text = await (await fetch(url)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const values = lines.map((line): [string, number] => {
    const space = line.lastIndexOf(" ");
    return [line.slice(0, space), Number(line.slice(space + 1))];
  });
  return { text, values: new Map(values) };
}

/** The series of a metric that changed, and by how much: `{ 'status="404"…': 1 }` by what stands between the braces, "" without any. */
export function changes(name: string, before: Scrape, after: Scrape): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [series, value] of after.values) {
    const [, metric, labels = ""] = /^im_(?:gateway|logic)_(\w+)(?:\{(.*)\})?$/.exec(series) ?? [];
    const change = value - (before.values.get(series) ?? 0);
    if (metric === name && change !== 0) {
      found[labels] = change;
    }
  }
  return found;
}

/** How `expect.poll` waits for a count. */
export const poll = { timeout: 5000, interval: 10 } as const;

/** Asks for the closed sockets by code; the gateway counts one when it has gone, a moment after the peer knows. */
export function closes({ metrics }: GatewayAddress, before: Scrape): () => Promise<Record<string, number>> {
  return async () => changes("websocket_connections_closed_total", before, await scrape(metrics));
}
