// The real parts: Apache Kafka, etcd, im-logic as a process of its own, and two gateways.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Etcd, startEtcd } from "@im-gateway/tools/etcd";
import { type Kafka, startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import type { GatewayCommand, World, WorldPart } from "../world.ts";
import { createProgram, freeAddress, freeGateway, type Program } from "./program.ts";

export const realParts: readonly string[] = ["kafka", "etcd", "im-logic", "gateway-a", "gateway-b"];

export interface RealWorld extends World {
  readonly kafka: Kafka;
  readonly etcd: Etcd;
  readonly logic: Program;
  readonly gatewayB: Program;
  /** Its database. */
  readonly logicDataDir: string;
  /** Where im-logic is scraped. */
  readonly logicMetrics: string;
  /** As `--set` takes them: where Kafka and etcd are. */
  readonly settings: readonly string[];
}

export async function startRealWorld(command: GatewayCommand): Promise<RealWorld> {
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  const [kafka, etcd] = await Promise.all([startKafka(), startEtcd()]);
  const shared = [`kafka.brokers=${kafka.brokers.join(",")}`, `coordinator.endpoints=${etcd.endpoints.join(",")}`];
  const [grpc, http] = [await freeAddress(), await freeAddress()];
  const [a, b] = [await freeGateway(), await freeGateway()];
  const logic = createProgram(
    "im-logic",
    "im-logic",
    [...shared, `grpc_addr=${grpc}`, `http_addr=${http}`, `data_dir=${dataDir}`],
    { holdsSockets: false, config: "im-logic.yaml", scratch: dataDir },
  );
  const gateway = (id: string, settings: readonly string[]): Program =>
    createProgram(id, command, [...shared, `gateway_id=${id}`, ...settings], {
      holdsSockets: true,
      config: "config.yaml",
    });
  const gatewayB = gateway("gateway-b", b.settings);
  const gateways = [gateway("gateway-a", a.settings), gatewayB];
  await Promise.all([logic, ...gateways].map((program) => program.start()));
  const everyoneReady = (): Promise<void> =>
    waitFor(
      async () => (await Promise.all([`http://${http}`, a.gateway.http, b.gateway.http].map(isReady))).every(Boolean),
      {
        timeoutMs: 60_000,
        what: "im-logic and both gateways to be ready",
      },
    ).then(() => undefined);
  const realPart = (name: string, part: Kafka | Etcd): WorldPart => ({
    name,
    holdsSockets: false,
    async restart(how) {
      if (how === "kill") {
        await part.kill();
      }
      await part.restart();
      await everyoneReady();
    },
  });
  return {
    command,
    kafka,
    etcd,
    logic,
    gatewayB,
    logicDataDir: dataDir,
    logicMetrics: `http://${http}/metrics`,
    settings: shared,
    gateways: [a.gateway, b.gateway],
    parts: [realPart("kafka", kafka), realPart("etcd", etcd), logic, ...gateways],
    async stop() {
      // Everything is stopped even where one does not end as it should; the first complaint is then reported.
      const ends = await Promise.allSettled(gateways.map((program) => program.stop()));
      ends.push(...(await Promise.allSettled([logic.stop()])));
      ends.push(...(await Promise.allSettled([kafka.stop(), etcd.stop(), rm(dataDir, { recursive: true })])));
      for (const end of ends) {
        if (end.status === "rejected") {
          throw end.reason;
        }
      }
    },
  };
}

async function isReady(base: string): Promise<boolean> {
  const response = await fetch(`${base}/ready`, { signal: AbortSignal.timeout(2000) });
  return response.status === 200;
}
