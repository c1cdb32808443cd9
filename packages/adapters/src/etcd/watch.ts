// All instances of a service, as they change: list, watch from that revision, and begin again when the watch ends.
import type { Log, ServiceInstance } from "@im-gateway/core";
import { type Etcd3, type IKeyValue, type IWatchResponse, Range } from "etcd3";
import { decodeInstance, keyPrefix } from "./instance.ts";
import { createOutage } from "./outage.ts";

export interface WatchOptions {
  readonly client: Etcd3;
  readonly callTimeoutMs: number;
  readonly log: Log;
}

export type OnChange = (instances: readonly ServiceInstance[], revisions: ReadonlyMap<string, number>) => void;

interface Found {
  readonly instance: ServiceInstance;
  readonly revision: number;
}

// A watch that went dead without a sign is noticed by the next list at the latest.
const relistMs = 60_000;

/**
 * Resolves when the signal aborts; never rejects for etcd's sake. While etcd is away nothing is reported: the last
 * instances stay.
 */
export async function watchService(
  name: string,
  onChange: OnChange,
  options: WatchOptions,
  signal: AbortSignal,
  onWorking: (working: boolean) => void = () => {},
): Promise<void> {
  const { client, log } = options;
  const prefix = keyPrefix(name);
  const outage = createOutage(`watch of ${prefix}`, log);
  let reported: string | undefined;
  let working: boolean | undefined;

  function works(now: boolean): void {
    if (now === working || signal.aborted) return;
    working = now;
    onWorking(now);
  }

  function report(found: ReadonlyMap<string, Found>): void {
    const all = [...found.values()].map(({ instance }) => instance).sort((one, other) => (one.id < other.id ? -1 : 1));
    const text = JSON.stringify(all);
    if (text === reported || signal.aborted) return;
    reported = text;
    onChange(all, new Map([...found.values()].map(({ instance, revision }) => [instance.id, revision])));
  }

  while (!signal.aborted) {
    try {
      const instances = new Map<string, Found>();
      const put = ({ key, value, mod_revision }: IKeyValue): void => {
        const instance = decodeInstance(key.toString(), value);
        if (instance !== undefined) {
          instances.set(key.toString(), { instance, revision: Number(mod_revision) });
          return;
        }
        instances.delete(key.toString());
        log("warn", "a registry value is not a service instance", { key: key.toString() });
      };
      const { kvs, header } = await client.getAll().prefix(prefix).exec();
      kvs.forEach(put);
      report(instances);
      await followChanges(prefix, BigInt(header.revision) + 1n, options, signal, {
        begun() {
          outage.passed();
          works(true);
        },
        changed({ events }) {
          for (const { type, kv } of events) {
            if (type === "Put") put(kv);
            else instances.delete(kv.key.toString());
          }
          report(instances);
        },
      });
    } catch (error) {
      works(false);
      await outage.failed(error, signal);
    }
  }
}

interface Follower {
  begun(): void;
  changed(response: IWatchResponse): void;
}

/**
 * Resolves when it is time to list again or the signal aborts; rejects when the watch failed, was cancelled (its
 * revision is compacted, say) or did not begin in time. On a stream of its own: etcd3's Watcher goes silent after a
 * compaction, and throws out of an event when answers cross.
 */
async function followChanges(
  prefix: string,
  fromRevision: bigint,
  { client, callTimeoutMs }: WatchOptions,
  signal: AbortSignal,
  follower: Follower,
): Promise<void> {
  const stream = await client.watchClient.watch();
  const { start, end } = Range.prefix(prefix);
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      stop = resolve;
      timer = setTimeout(() => reject(new Error("the watch did not begin in time")), callTimeoutMs);
      // Stays after the end: cancelling emits an error, too.
      stream.on("error", reject);
      stream.on("end", () => reject(new Error("etcd ended the watch")));
      stream.on("data", (response) => {
        if (response.canceled) {
          reject(
            new Error(`etcd cancelled the watch: ${response.cancel_reason}, compacted to ${response.compact_revision}`),
          );
          return;
        }
        if (response.created) {
          clearTimeout(timer);
          timer = setTimeout(resolve, relistMs);
          follower.begun();
        }
        try {
          follower.changed(response);
        } catch (error) {
          reject(error);
        }
      });
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", stop, { once: true });
      stream.write({ create_request: { key: start, range_end: end, start_revision: String(fromRevision) } });
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    // Ended first: a cancelled stream that could still be written to is a failed host to etcd3, which then drops the
    // connection under every other call.
    stream.end();
    stream.cancel();
  }
}
