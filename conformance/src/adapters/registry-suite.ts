// What every Registry does. An adapter's test file calls `describeRegistry` with a way to open it.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Registry, reasonOf, type ServiceInstance } from "@im-gateway/core";
import { waitFor } from "@im-gateway/tools/process";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

/** Opens a registry on the one store of this test file. */
export type OpenRegistry = () => Registry;

const timeoutMs = 5_000;

export function describeRegistry(name: string, open: OpenRegistry): void {
  describe(`registry: ${name}`, () => {
    let registry: Registry;
    let test: AbortController;
    let health: Server;
    let service: string;
    let tests = 0;

    beforeAll(async () => {
      health = createServer((_, response) => {
        response.setHeader("content-type", "application/json").end(JSON.stringify({ status: "ok", instance: "alive" }));
      });
      await new Promise<void>((resolve) => health.listen(0, "127.0.0.1", resolve));
    });
    afterAll(() => new Promise((resolve) => health.close(resolve)));
    beforeEach(() => {
      registry = open();
      test = new AbortController();
      tests += 1;
      service = `service-${tests}`;
    });
    afterEach(async () => {
      test.abort();
      await registry.close();
    });

    function instance(id: string, changes: Partial<ServiceInstance> = {}): ServiceInstance {
      return { id, name: service, address: "127.0.0.1", port: 9001, metadata: {}, ...changes };
    }

    function gateway(id: string): ServiceInstance {
      const { port } = health.address() as AddressInfo;
      return {
        id,
        name: "im-gateway",
        address: "127.0.0.1",
        port,
        metadata: { instance: "alive", internal_addr: "127.0.0.1:9091" },
      };
    }

    /** The lists that a watch reported, oldest first. */
    function watching(
      of: Registry,
      watched: string,
      signal = test.signal,
    ): { lists: ServiceInstance[][]; ended: Promise<void> } {
      const lists: ServiceInstance[][] = [];
      const ended = of.watch(watched, (instances) => lists.push([...instances]), signal);
      return { lists, ended };
    }

    const untilListed = (lists: readonly ServiceInstance[][], ids: readonly string[]): Promise<unknown> =>
      waitFor(
        () =>
          lists
            .at(-1)
            ?.map(({ id }) => id)
            .join() === ids.join(),
        { timeoutMs, what: `the list [${ids}]` },
      );

    it("reports all instances at once, then after every change, in the order of their ids", async () => {
      await registry.register(instance("b", { metadata: { zone: "1" } }), test.signal);
      const { lists } = watching(registry, service);
      await untilListed(lists, ["b"]);
      expect(lists[0]).toEqual([{ id: "b", name: service, address: "127.0.0.1", port: 9001, metadata: { zone: "1" } }]);
      const a = await registry.register(instance("a"), test.signal);
      await untilListed(lists, ["a", "b"]);
      await a.release();
      await untilListed(lists, ["b"]);
      expect(lists).toHaveLength(3);
    });

    it("reports a service without instances as empty, and only that service", async () => {
      await registry.register(instance("a", { name: `${service}-2` }), test.signal);
      const { lists } = watching(registry, service);
      await untilListed(lists, []);
    });

    it("gives a later claim a higher epoch", async () => {
      const first = await registry.register(instance("a"), test.signal);
      await first.release();
      const second = await registry.register(instance("a"), test.signal);
      expect(Number.isSafeInteger(second.epoch)).toBe(true);
      expect(first.epoch).toBeGreaterThan(0);
      expect(second.epoch).toBeGreaterThan(first.epoch);
    });

    it("reports the revision of each key's last change, which a claim's epoch is until its metadata change", async () => {
      const other = await registry.register(instance("a", { name: `${service}-2` }), test.signal);
      const a = await registry.register(instance("a"), test.signal);
      const reported: (readonly (number | undefined)[])[] = [];
      const onChange = (_: readonly ServiceInstance[], revisions: ReadonlyMap<string, number>): void => {
        reported.push([revisions.size, revisions.get("a"), revisions.get("b")]);
      };
      void registry.watch(service, onChange, test.signal);
      const untilReported = (count: number): Promise<unknown> =>
        waitFor(() => reported.length === count, { timeoutMs, what: `report ${count}` });
      await untilReported(1);
      const b = await registry.register(instance("b"), test.signal);
      await untilReported(2);
      await a.update({ state: "draining" });
      await untilReported(3);
      const next = await registry.register(instance("c", { name: `${service}-2` }), test.signal);
      expect(other.epoch).toBeLessThan(a.epoch);
      expect(reported.slice(0, 2)).toEqual([
        [1, a.epoch, undefined],
        [2, a.epoch, b.epoch],
      ]);
      const updatedAt = reported[2]?.[1];
      expect(reported[2]).toEqual([2, updatedAt, b.epoch]);
      expect(updatedAt).toBeGreaterThan(b.epoch);
      expect(updatedAt).toBeLessThan(next.epoch);
    });

    it("refuses the id of a gateway that lives, naming its holder", async () => {
      const first = await registry.register(gateway("g-1"), test.signal);
      const refused = await registry.register(gateway("g-1"), test.signal).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(ConnectError);
      expect(refused).toMatchObject({ code: Code.AlreadyExists });
      expect(reasonOf(refused as ConnectError)).toBe("GATEWAY_ID_TAKEN");
      expect((refused as ConnectError).message).toContain(`127.0.0.1:${gateway("g-1").port}`);
      await first.release();
      const next = await registry.register(gateway("g-1"), test.signal);
      expect(next.epoch).toBeGreaterThan(first.epoch);
    });

    it("hands another service's id to the newest claim, and tells the one before", async () => {
      const first = await registry.register(instance("a"), test.signal);
      const { lists } = watching(registry, service);
      await untilListed(lists, ["a"]);
      const second = await registry.register(instance("a", { port: 9002 }), test.signal);
      expect(second.epoch).toBeGreaterThan(first.epoch);
      await first.lost;
      await first.release();
      const { lists: later } = watching(registry, service);
      await untilListed(later, ["a"]);
      expect(later.at(-1)?.[0]?.port).toBe(9002);
      expect(lists.map((list) => list.map(({ port }) => port))).toEqual([[9001], [9002]]);
    });

    it("puts other metadata into the key, which stays the same claim, until that is released", async () => {
      let reclaimed = 0;
      const registration = await registry.register(instance("a", { metadata: { zone: "1" } }), test.signal, () => {
        reclaimed += 1;
      });
      const { epoch } = registration;
      const { lists } = watching(registry, service);
      await untilListed(lists, ["a"]);
      await registration.update({ zone: "1", state: "draining" });
      await waitFor(() => lists.at(-1)?.[0]?.metadata.state === "draining", { timeoutMs, what: "the new metadata" });
      expect(lists.at(-1)).toEqual([instance("a", { metadata: { zone: "1", state: "draining" } })]);
      expect([registration.epoch, reclaimed]).toEqual([epoch, 0]);
      await registration.release();
      await untilListed(lists, []);
      await registration.update({ zone: "2" });
      const { lists: later } = watching(registry, service);
      await untilListed(later, []);
    });

    it("updates nothing that another has claimed", async () => {
      const first = await registry.register(instance("a"), test.signal);
      await registry.register(instance("a", { metadata: { of: "second" } }), test.signal);
      await first.update({ of: "first" });
      const { lists } = watching(registry, service);
      await untilListed(lists, ["a"]);
      expect(lists.at(-1)?.[0]?.metadata).toEqual({ of: "second" });
    });

    it("says that a watch works once it has reported what there is", async () => {
      await registry.register(instance("a"), test.signal);
      const told: string[] = [];
      void registry.watch(
        service,
        (instances) => told.push(instances.map(({ id }) => id).join()),
        test.signal,
        (working) => told.push(`working ${working}`),
      );
      await waitFor(() => told.length === 2, { timeoutMs, what: "two words" });
      expect(told).toEqual(["a", "working true"]);
    });

    it("takes a release twice, and does not call it a loss", async () => {
      const registration = await registry.register(instance("a"), test.signal);
      const { lists } = watching(registry, service);
      await untilListed(lists, ["a"]);
      let lost = false;
      void registration.lost.then(() => {
        lost = true;
      });
      await registration.release();
      await registration.release();
      await untilListed(lists, []);
      expect(lost).toBe(false);
    });

    it("ends a watch by its signal, after which nothing more is reported", async () => {
      const controller = new AbortController();
      const { lists, ended } = watching(registry, service, controller.signal);
      await untilListed(lists, []);
      controller.abort();
      await ended;
      const { lists: other } = watching(registry, service);
      await registry.register(instance("a"), test.signal);
      await untilListed(other, ["a"]);
      expect(lists).toEqual([[]]);
    });

    it("gives up a claim whose signal has aborted", async () => {
      const claim = registry.register(instance("a"), AbortSignal.abort());
      await expect(claim).rejects.toMatchObject({ code: Code.Canceled });
      const { lists } = watching(registry, service);
      await untilListed(lists, []);
    });

    it("ends everything when it is closed, and lets go of its keys", async () => {
      await registry.register(instance("a"), test.signal);
      const { lists, ended } = watching(registry, service);
      await untilListed(lists, ["a"]);
      await registry.close();
      await ended;
      await expect(registry.register(instance("b"), test.signal)).rejects.toMatchObject({ code: Code.Unavailable });
      registry = open();
      const { lists: later } = watching(registry, service);
      await untilListed(later, []);
      expect(later).toEqual([[]]);
    });
  });
}
