// The metrics of a service that counts in plain numbers: im-logic's.
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";

export interface ServiceMetricsOptions {
  /** Of every name: "im_logic_". */
  readonly prefix: string;
  readonly version: string;
  /** Name and version of what runs this: "node 24.21.0". */
  readonly runtime: string;
  /** Rising counts: `storedMessages` becomes `{prefix}stored_messages_total`. */
  readonly counts: () => Readonly<Record<string, number>>;
  /** Why it is not ready; empty when it is. */
  readonly unready: () => readonly string[];
}

export interface ServiceMetrics {
  render(): Promise<string>;
  readonly contentType: string;
}

export function createServiceMetrics({
  prefix,
  version,
  runtime,
  counts,
  unready,
}: ServiceMetricsOptions): ServiceMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const name of Object.keys(counts())) {
    const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    new Counter({
      name: `${prefix}${words}_total`,
      help: `Number of ${words.replaceAll("_", " ")}`,
      registers,
      collect() {
        this.reset();
        this.inc(counts()[name] ?? 0);
      },
    });
  }
  new Gauge({
    name: `${prefix}ready`,
    help: "1 when the service is ready",
    registers,
    collect() {
      this.set(unready().length === 0 ? 1 : 0);
    },
  });
  const info = new Gauge({
    name: `${prefix}build_info`,
    help: "What runs",
    labelNames: ["version", "runtime"],
    registers,
  });
  info.set({ version, runtime }, 1);
  return { contentType: registry.contentType, render: () => registry.metrics() };
}
