// Clients that do not finish what they began: the connection ends in time, by 408 or without a word, and others are served meanwhile.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rest } from "../../client.ts";
import { exchange, openWire, parseAnswer } from "../../exchange.ts";
import type { World } from "../../world.ts";
import { expectRefusal } from "./refusal.ts";
import { type StrictGateway, startStrictGateway, strict } from "./strict-gateway.ts";

/** Between two looks at what is late, and for a busy machine. */
const slackMs = 2500;
/** Bun gives a head that does not come its own 10 to 12 s (docs/operations.md). */
const bunHeadMs = 12_000;
const dripMs = 100;

const post = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

/** What comes at once, and what drips after it, a byte at a time. */
const slow: Readonly<Record<string, readonly [first: string, drip: string]>> = {
  "a connection on which nothing comes": ["", ""],
  "a request line that breaks off": ["GET /heal", ""],
  "headers that drip": ["GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", "z"],
  "a body that was announced and never comes": [`${post}Content-Length: 100\r\n\r\n`, ""],
  "a body that drips": [`${post}Content-Length: 100000\r\n\r\n{"username":"`, "z"],
  "a body that drips in chunks": [`${post}Transfer-Encoding: chunked\r\n\r\n`, "1\r\nz\r\n"],
};

export function slowClientScenarios(world: () => World): void {
  describe("slow clients", () => {
    let gateway: StrictGateway;
    beforeAll(async () => {
      gateway = await startStrictGateway(world().command);
    });
    afterAll(() => gateway.stop());

    test.concurrent.each(Object.entries(slow))("%s: an end in time", async (_name, [first, drip]) => {
      const wire = await openWire(gateway.http);
      wire.write(first);
      const dripping = drip === "" ? undefined : setInterval(() => wire.write(drip), dripMs);
      const { bytes, afterMs } = await wire.closed;
      clearInterval(dripping);
      expect(afterMs).toBeGreaterThan(strict.readTimeoutMs / 2);
      const ownLimit = world().command === "im-gateway-bun" && !first.includes("\r\n\r\n");
      expect(afterMs).toBeLessThan((ownLimit ? bunHeadMs : strict.readTimeoutMs) + slackMs);
      if (bytes.length === 0) {
        return;
      }
      const answer = parseAnswer(bytes);
      expect(answer.status).toBe(408);
      expectRefusal(answer, { status: 408, code: "deadline_exceeded", reason: "REQUEST_TIMEOUT" });
    });

    test.concurrent("a client that goes in the middle of its body harms nobody", async () => {
      const wire = await openWire(gateway.http);
      wire.write(`${post}Content-Length: 100\r\n\r\n{"user`);
      wire.destroy();
      const { status } = await exchange(gateway.http, { method: "GET", path: "/health" });
      expect(status).toBe(200);
    });

    test.concurrent("others are served meanwhile", async () => {
      const { status } = await rest(gateway, "POST", "/auth/guest", { body: {} });
      expect(status).toBe(201);
    });
  });
}
