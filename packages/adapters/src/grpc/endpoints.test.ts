import type { ServiceInstance } from "@im-gateway/core";
import { createMemoryRegistry } from "@im-gateway/core/memory";
import { expect, it } from "vitest";
import { createEndpoints } from "./index.ts";

function instance(id: string, port: number): ServiceInstance {
  return { id, name: "im-logic", address: "127.0.0.1", port, metadata: {} };
}

it("are the fallback while discovery finds nothing, and what it finds from then on", async () => {
  const registry = createMemoryRegistry();
  const { signal } = new AbortController();
  const fallback = { address: "localhost", port: 9001 };
  const endpoints = createEndpoints({ registry, serviceName: "im-logic", fallback, log() {} });
  let changes = 0;
  endpoints.subscribe(() => {
    changes += 1;
  }, signal);
  expect(endpoints.current()).toEqual([fallback]);

  const first = await registry.register(instance("a", 1001), signal);
  expect(endpoints.current()).toEqual([{ address: "127.0.0.1", port: 1001 }]);
  await registry.register({ ...instance("gateway", 1002), name: "im-gateway" }, signal);
  const second = await registry.register(instance("b", 1003), signal);
  expect(endpoints.current().map(({ port }) => port)).toEqual([1001, 1003]);
  await registry.register(instance("same-address", 1003), signal);
  expect(changes).toBe(2);

  await first.release();
  await second.release();
  expect(endpoints.current()).toEqual([{ address: "127.0.0.1", port: 1003 }]);
  await endpoints.close();
  await registry.close();
});

it("are none at first without a fallback; when all instances are gone they are the fallback, or else the last ones", async () => {
  const registry = createMemoryRegistry();
  const { signal } = new AbortController();
  const fallback = { address: "localhost", port: 9001 };
  const found = createEndpoints({ registry, serviceName: "im-logic", log() {} });
  const withFallback = createEndpoints({ registry, serviceName: "im-logic", fallback, log() {} });
  expect(found.current()).toEqual([]);
  const registration = await registry.register(instance("a", 1001), signal);
  expect(found.current()).toHaveLength(1);
  await registration.release();
  expect(found.current()).toEqual([{ address: "127.0.0.1", port: 1001 }]);
  expect(withFallback.current()).toEqual([fallback]);
  await registry.register(instance("b", 1002), signal);
  expect(found.current().map(({ port }) => port)).toEqual([1002]);
  await registry.close();
});

it("stop telling a subscriber whose signal aborted", async () => {
  const registry = createMemoryRegistry();
  const endpoints = createEndpoints({ registry, serviceName: "im-logic", log() {} });
  const controller = new AbortController();
  let changes = 0;
  endpoints.subscribe(() => {
    changes += 1;
  }, controller.signal);
  controller.abort();
  await registry.register(instance("a", 1001), new AbortController().signal);
  expect(changes).toBe(0);
  expect(endpoints.current()).toHaveLength(1);
  await registry.close();
});
