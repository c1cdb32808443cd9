// What a gateway needs beside it, for working by hand: Kafka, etcd and im-logic as background processes on fixed ports.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type Background, createBackground } from "./background.ts";
import { etcdCommand } from "./etcd.ts";
import { isFree } from "./free-port.ts";
import { prepareKafka } from "./kafka.ts";
import type { Command } from "./process.ts";
import { waitFor } from "./wait-for.ts";

export interface DevPorts {
  readonly kafka: number;
  readonly kafkaController: number;
  readonly etcd: number;
  readonly etcdPeer: number;
  readonly logicGrpc: number;
  readonly logicHttp: number;
}

export interface DevPart {
  readonly name: string;
  readonly pid: number;
  /** `host:port` that answers. */
  readonly address: string;
  readonly logFile: string;
}

export interface DevParts {
  /**
   * Starts what does not run, on 127.0.0.1, and resolves when all answers.
   * @throws Error when a port is taken or a part does not come up; what this call started is stopped again.
   */
  start(): Promise<readonly DevPart[]>;
  /** Stops what runs and answers its names. The data stays. */
  stop(): Promise<readonly string[]>;
  /** Log files of the parts that run. */
  logFiles(): readonly string[];
}

interface Plan {
  readonly process: Background;
  readonly address: string;
  readonly ports: readonly number[];
  readonly command: () => Command;
  readonly answers: () => Promise<boolean>;
}

const repository = join(import.meta.dirname, "../..");
const startTimeoutMs = 60_000;
const linesInErrors = 30;

/** `folder` takes data, logs and process ids; with the same folder the parts are found again. */
export function createDevParts(folder: string, ports: DevPorts): DevParts {
  const plans: readonly Plan[] = [
    {
      process: createBackground(folder, "etcd"),
      address: `localhost:${ports.etcd}`,
      ports: [ports.etcd, ports.etcdPeer],
      command: () => etcdCommand(join(folder, "etcd"), { client: ports.etcd, peer: ports.etcdPeer }),
      answers: () => answersOk(`http://127.0.0.1:${ports.etcd}/health`),
    },
    {
      process: createBackground(folder, "kafka"),
      address: `localhost:${ports.kafka}`,
      ports: [ports.kafka, ports.kafkaController],
      command: () => formattedKafka(join(folder, "kafka"), ports),
      answers: () => accepts(ports.kafka),
    },
    {
      process: createBackground(folder, "im-logic"),
      address: `localhost:${ports.logicGrpc}`,
      ports: [ports.logicGrpc, ports.logicHttp],
      command: () => logicCommand(join(folder, "im-logic"), ports),
      // Ready is: it consumes from Kafka and its key is in etcd.
      answers: () => answersOk(`http://127.0.0.1:${ports.logicHttp}/ready`),
    },
  ];

  return {
    async start() {
      const missing = plans.filter((plan) => plan.process.pid() === undefined);
      await Promise.all(missing.map((plan) => plan.process.ended()));
      const taken: string[] = [];
      for (const { process, ports: wanted } of missing) {
        for (const port of wanted) if (!(await isFree(port))) taken.push(`${port} (${process.name})`);
      }
      if (taken.length > 0) throw new Error(`taken by another program: port ${taken.join(", ")}. Nothing was started.`);
      try {
        for (const plan of missing) plan.process.start(plan.command());
        await Promise.all(plans.map(whenAnswering));
      } catch (error) {
        await Promise.all(missing.map((plan) => plan.process.stop()));
        throw error;
      }
      return plans.map(({ process, address }) => ({
        name: process.name,
        pid: process.pid() ?? 0,
        address,
        logFile: process.logFile,
      }));
    },
    async stop() {
      const running = plans.filter((plan) => plan.process.pid() !== undefined);
      // im-logic first: it takes its key out of etcd.
      for (const plan of plans.toReversed()) await plan.process.stop();
      return running.map((plan) => plan.process.name);
    },
    logFiles: () => plans.filter(({ process }) => process.pid() !== undefined).map(({ process }) => process.logFile),
  };
}

function formattedKafka(folder: string, ports: DevPorts): Command {
  const { format, broker } = prepareKafka(folder, { broker: ports.kafka, controller: ports.kafkaController });
  const { status, stdout, stderr, error } = spawnSync(format.command, format.args ?? [], { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`Kafka's StorageTool failed with exit code ${status}:\n${stdout}${stderr}`);
  return broker;
}

function logicCommand(folder: string, ports: DevPorts): Command {
  const settings = [
    `data_dir=${folder}`,
    `grpc_addr=127.0.0.1:${ports.logicGrpc}`,
    `http_addr=127.0.0.1:${ports.logicHttp}`,
    `kafka.brokers=127.0.0.1:${ports.kafka}`,
    `coordinator.endpoints=127.0.0.1:${ports.etcd}`,
  ];
  const config = ["--config", join(repository, "configs/im-logic.yaml")];
  return {
    command: join(repository, "bin/im-logic"),
    args: [...config, ...settings.flatMap((setting) => ["--set", setting])],
  };
}

async function whenAnswering({ process, address, answers }: Plan): Promise<void> {
  const ended = await waitFor(async () => (process.pid() === undefined ? "ended" : (await answers()) && "answers"), {
    timeoutMs: startTimeoutMs,
    what: `${process.name} to answer on ${address} (log: ${process.logFile})`,
    intervalMs: 200,
  });
  if (ended === "ended") {
    const lines = readFileSync(process.logFile, "utf8").trimEnd().split("\n").slice(-linesInErrors);
    throw new Error(`${process.name} ended at once. Its last lines:\n${lines.join("\n")}`);
  }
}

async function answersOk(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
  await response.arrayBuffer();
  return response.ok;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => socket.end(() => resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
