// dev.ts start|stop|logs: what a gateway needs beside it, by Docker compose where an engine answers, else as background processes.
import { spawnSync } from "node:child_process";
import { join, relative } from "node:path";
import { createDevParts } from "./dev-parts.ts";

const repository = join(import.meta.dirname, "../..");
const folder = join(repository, ".cache/dev");
const parts = createDevParts(folder, {
  kafka: 9092,
  kafkaController: 9093,
  etcd: 2379,
  etcdPeer: 2380,
  logicGrpc: 9001,
  logicHttp: 9002,
});
const next = `
Now:   bin/im-gateway --config configs/config.yaml     a gateway on :8080; more of them with --set gateway_id=…, see README.md
       make logs                                       what the parts say
       make dev-stop                                   stop them; the data stays`;

/** Runs to its end on this terminal. Exits as it does when it fails. */
function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { status, error } = spawnSync(command, args, {
    cwd: repository,
    env: { ...process.env, ...env },
    stdio: "inherit",
  });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 130);
}

function hasDocker(): boolean {
  return [["info"], ["compose", "version"]].every(
    (args) => spawnSync("docker", args, { stdio: "ignore", timeout: 10_000 }).status === 0,
  );
}

async function start(): Promise<void> {
  if (parts.logFiles().length === 0 && hasDocker()) {
    // A gateway on this machine has to reach im-logic by the address that it finds in etcd.
    const env = { IM_LOGIC_ADVERTISE_ADDR: "localhost:9001" };
    run("docker", ["compose", "up", "--detach", "--build", "--wait", "kafka", "etcd", "im-logic"], env);
    console.log("Kafka localhost:9092, etcd localhost:2379, im-logic localhost:9001 (HTTP 9002), by Docker compose");
  } else {
    console.log("Starting Kafka, etcd and im-logic …");
    for (const { name, pid, address, logFile } of await parts.start()) {
      console.log(
        `${name.padEnd(9)} ${address.padEnd(15)} pid ${String(pid).padEnd(7)} ${relative(repository, logFile)}`,
      );
    }
  }
  console.log(next);
}

async function stop(): Promise<void> {
  const stopped = await parts.stop();
  const docker = hasDocker();
  if (docker) run("docker", ["compose", "down"]);
  if (stopped.length > 0)
    console.log(`Stopped: ${stopped.join(", ")}. Data and logs stay in ${relative(repository, folder)}.`);
  else if (!docker) console.log("Nothing was running.");
}

function logs(): void {
  const files = parts.logFiles();
  if (files.length > 0) run("tail", ["-n", "20", "-F", ...files]);
  else if (hasDocker()) run("docker", ["compose", "logs", "--follow", "--tail", "20"]);
  else throw new Error("nothing is running: make dev starts it");
}

const commands: Readonly<Record<string, () => void | Promise<void>>> = { start, stop, logs };
try {
  const command = commands[process.argv[2] ?? ""];
  if (command === undefined) throw new Error("usage: dev.ts start|stop|logs");
  await command();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
