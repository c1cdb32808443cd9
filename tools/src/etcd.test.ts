import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Etcd, installEtcd, startEtcd } from "./etcd.ts";

const run = promisify(execFile);

let etcd: Etcd;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

async function etcdctl(...args: string[]): Promise<string> {
  const options = [`--endpoints=${etcd.endpoints.join(",")}`, "--command-timeout=1s", "--dial-timeout=1s"];
  const { stdout } = await run(join(installEtcd(), "etcdctl"), [...options, ...args]);
  return stdout.trim();
}

it("takes requests at once, and keeps its address and data through a kill and a restart", async () => {
  expect(await etcdctl("put", "/services/im-logic/1", "one")).toBe("OK");
  await etcd.restart();
  expect(await etcdctl("get", "--print-value-only", "/services/im-logic/1")).toBe("one");
  await etcd.kill();
  await expect(etcdctl("get", "/services/im-logic/1")).rejects.toThrow();
  await etcd.restart();
  expect(await etcdctl("get", "--print-value-only", "/services/im-logic/1")).toBe("one");
});

it("answers nothing while frozen", async () => {
  etcd.freeze();
  await expect(etcdctl("get", "a")).rejects.toThrow();
  etcd.thaw();
  expect(await etcdctl("put", "a", "b")).toBe("OK");
});

it("leaves no process and no folder behind", async () => {
  const other = await startEtcd();
  const folder = other.output.join("\n").match(/"data-dir":"([^"]+)\/data"/)?.[1] ?? "";
  expect(existsSync(folder)).toBe(true);
  const { pid } = other;
  await other.stop();
  await other.stop();
  expect(existsSync(folder)).toBe(false);
  expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  await expect(other.restart()).rejects.toThrow(/start a new one/);
});
