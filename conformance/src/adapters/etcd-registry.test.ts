import { createEtcdRegistry } from "@im-gateway/adapters/etcd";
import { type Etcd, startEtcd } from "@im-gateway/tools/etcd";
import { afterAll, beforeAll } from "vitest";
import { describeRegistry } from "./registry-suite.ts";

let etcd: Etcd;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

describeRegistry("etcd", () => createEtcdRegistry({ endpoints: etcd.endpoints, leaseTtlMs: 2_000, log() {} }));
