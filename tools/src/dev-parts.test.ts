// `make dev` and `make dev-stop`, on free ports and in a folder of their own.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isGone } from "./background.ts";
import { createDevParts, type DevParts, type DevPorts } from "./dev-parts.ts";
import { freePort } from "./process.ts";

const folder = mkdtempSync(join(tmpdir(), "im-gateway-dev-"));
let ports: DevPorts;
let dev: DevParts;
beforeAll(async () => {
  ports = {
    kafka: await freePort(),
    kafkaController: await freePort(),
    etcd: await freePort(),
    etcdPeer: await freePort(),
    logicGrpc: await freePort(),
    logicHttp: await freePort(),
  };
  dev = createDevParts(folder, ports);
});
afterAll(async () => {
  await dev.stop();
  rmSync(folder, { recursive: true, force: true });
});

it("starts nothing when a port is taken", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(ports.logicGrpc, "127.0.0.1", resolve));
  await expect(dev.start()).rejects.toThrow(`port ${ports.logicGrpc} (im-logic). Nothing was started.`);
  expect(dev.logFiles()).toEqual([]);
  await new Promise((resolve) => server.close(resolve));
});

it("starts what does not run, and stops everything whatever became of it", { timeout: 60_000 }, async () => {
  const first = await dev.start();
  expect(first.map(({ name }) => name)).toEqual(["etcd", "kafka", "im-logic"]);
  expect((await fetch(`http://127.0.0.1:${ports.logicHttp}/ready`)).status).toBe(200);

  // Another command finds them by their folder.
  const second = createDevParts(folder, ports);
  expect(await second.start()).toEqual(first);

  const [etcd, , logic] = first.map(({ pid }) => pid);
  process.kill(Number(logic), "SIGKILL");
  const third = await second.start();
  expect(third.slice(0, 2)).toEqual(first.slice(0, 2));
  expect(third[2]?.pid).not.toBe(logic);

  process.kill(Number(etcd), "SIGKILL");
  expect(await second.stop()).toEqual(["kafka", "im-logic"]);
  for (const { pid } of third) expect(isGone(pid)).toBe(true);
  expect(isGone(Number(logic))).toBe(true);
  expect(await dev.stop()).toEqual([]);
});
