// The real parts of a scenario: Kafka, etcd, im-logic and gateways, each a process of its own.
import { appendFileSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Etcd, startEtcd } from "@im-gateway/tools/etcd";
import { waitFor } from "@im-gateway/tools/process";
import { createProgram, freeAddress, freeGateway, type GatewayAddress, type Program } from "@im-gateway/tools/program";
import type { Context } from "./scenario.ts";

/** Of every world's tokens. */
export const jwtSecret = "a secret of the fault suite, of 32 bytes and more";

export interface WorldGateway {
  readonly id: string;
  readonly address: GatewayAddress;
  readonly program: Program;
}

export interface GatewayOptions {
  /** `key=value`, beyond the world's. */
  readonly settings?: readonly string[];
  /** Laid over the world's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: others than any gateway has. For a second process of the same id the same or others. */
  readonly address?: { readonly gateway: GatewayAddress; readonly settings: readonly string[] };
}

/** One Kafka broker or several. */
export interface Brokers {
  readonly brokers: readonly string[];
  stop(): Promise<void>;
}

export interface WorldOptions<K extends Brokers> {
  /** `startKafka()` or `startKafkaCluster()`: the world stops it. */
  readonly kafka: Promise<K>;
  /** Default 1; their ids are gateway-1 … */
  readonly gateways?: number;
  /** `key=value` for im-logic and all gateways. */
  readonly settings?: readonly string[];
  readonly gatewaySettings?: readonly string[];
  /** Laid over this process's environment, for the gateways. */
  readonly gatewayEnv?: Readonly<Record<string, string>>;
  readonly logicSettings?: readonly string[];
  /** Where im-logic listens. Default: a free port. */
  readonly logicGrpc?: string;
  /** Default: one of its own. The world stops it. */
  readonly etcd?: Etcd;
  /** What etcd's endpoint is replaced by, for the gateways. */
  readonly gatewayEtcd?: string;
  /** What the brokers are replaced by, for the gateways. */
  readonly gatewayBrokers?: readonly string[];
}

export interface World<K extends Brokers = Brokers> {
  readonly kafka: K;
  readonly etcd: Etcd;
  readonly logic: Program;
  /** `127.0.0.1:port` */
  readonly logicGrpc: string;
  readonly gateways: readonly WorldGateway[];
  /** Prepares one more; `program.start()` starts it, and `ready` waits for it. */
  createGateway(id: string, options?: GatewayOptions): Promise<WorldGateway>;
  /** im-logic and these gateways are ready, all by default. */
  ready(gateways?: readonly WorldGateway[], timeoutMs?: number): Promise<void>;
}

/** Starts them and waits until they are ready; the context's end stops them. */
export async function startWorld<K extends Brokers>(context: Context, options: WorldOptions<K>): Promise<World<K>> {
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  context.defer(() => rm(dataDir, { recursive: true, force: true }));
  const [kafka, etcd] = await Promise.all([options.kafka, options.etcd ?? startEtcd()]);
  context.defer(() => etcd.stop());
  context.defer(() => kafka.stop());
  const common = [`jwt.secret=${jwtSecret}`, ...(options.settings ?? [])];
  const [grpc, http] = [options.logicGrpc ?? (await freeAddress()), await freeAddress()];
  const logic = createProgram({
    name: "im-logic",
    command: "im-logic",
    set: [
      ...common,
      `kafka.brokers=${kafka.brokers.join(",")}`,
      `coordinator.endpoints=${etcd.endpoints.join(",")}`,
      `grpc_addr=${grpc}`,
      `http_addr=${http}`,
      `data_dir=${dataDir}`,
      ...(options.logicSettings ?? []),
    ],
    scratch: dataDir,
    ...recorded(context, "im-logic"),
  });
  context.defer(async () => void (await logic.end()));
  const gatewayEtcd = options.gatewayEtcd ?? etcd.endpoints.join(",");
  const gatewayBrokers = options.gatewayBrokers ?? kafka.brokers;

  const createGateway = async (id: string, own: GatewayOptions = {}): Promise<WorldGateway> => {
    const { gateway: address, settings } = own.address ?? (await freeGateway());
    const program = createProgram({
      name: id,
      command: "im-gateway",
      set: [
        ...common,
        `gateway_id=${id}`,
        `kafka.brokers=${gatewayBrokers.join(",")}`,
        `coordinator.endpoints=${gatewayEtcd}`,
        "grpc.logic.service_name=im-logic",
        ...settings,
        ...(options.gatewaySettings ?? []),
        ...(own.settings ?? []),
      ],
      ...recorded(context, id),
      env: { ...options.gatewayEnv, ...own.env },
    });
    context.defer(async () => void (await program.end()));
    return { id, address, program };
  };
  const gateways: WorldGateway[] = [];
  for (let index = 1; index <= (options.gateways ?? 1); index += 1) {
    gateways.push(await createGateway(`gateway-${index}`));
  }
  const ready = async (some: readonly WorldGateway[] = gateways, timeoutMs = 60_000): Promise<void> => {
    const bases = [`http://${http}`, ...some.map(({ address }) => address.http)];
    await waitFor(async () => (await Promise.all(bases.map(isReady))).every(Boolean), {
      timeoutMs,
      intervalMs: 50,
      what: `im-logic and ${some.map(({ id }) => id).join(", ")} to be ready`,
    });
  };
  await Promise.all([logic, ...gateways.map(({ program }) => program)].map((program) => program.start()));
  await ready();
  return { kafka, etcd, logic, logicGrpc: grpc, gateways, createGateway, ready };
}

export async function isReady(base: string): Promise<boolean> {
  const response = await fetch(`${base}/ready`, { signal: AbortSignal.timeout(2000) });
  await response.body?.cancel();
  return response.status === 200;
}

/** Its resident memory now. Linux only. */
export function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

/** Of a gateway's or im-logic's metrics, the sum of all series of a name whose labels contain `labels`. */
export async function metric(url: string, name: string, labels = ""): Promise<number> {
  const text = await (await fetch(url, { signal: AbortSignal.timeout(5000) })).text();
  let sum = 0;
  for (const line of text.split("\n")) {
    const [, series, itsLabels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (series === name && itsLabels.includes(labels)) sum += Number(value);
  }
  return sum;
}

function recorded({ logs }: Context, name: string): { readonly onLine?: (line: string) => void } {
  return logs === undefined ? {} : { onLine: (line) => appendFileSync(join(logs, `${name}.log`), `${line}\n`) };
}
