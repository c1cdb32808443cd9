// Something else where im-logic should be: every call settles in time with a code that says so, and the gateway waits for the real one.
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { waitFor } from "@im-gateway/tools/process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asRecord, connect, openSocket } from "../../client.ts";
import { exchange } from "../../exchange.ts";
import { inSeconds, jwt } from "../../jwt.ts";
import { changes, scrape } from "../../scrape.ts";
import type { GatewayAddress, GatewayCommand } from "../../world.ts";
import { freeGateway, launch } from "../../worlds/program.ts";
import { expectErrorFrame, expectRefusal, type Refusal } from "./refusal.ts";

const timeoutMs = 1000;
/** A busy machine's. */
const slackMs = 1500;
const token = jwt({ claims: { sub: "u", did: "d", exp: inSeconds(3600) } });

interface Impostor extends Refusal {
  readonly serve: () => Server;
  readonly status: number;
  /** The gateway has a connection that looks right, and so it calls itself ready. */
  readonly looksRight?: boolean;
}

const unavailable = { status: 503, code: "unavailable", reason: "LOGIC_UNAVAILABLE" } as const;

const impostors: Readonly<Record<string, Impostor>> = {
  "a port that takes connections and is silent": { serve: () => createServer(() => {}), ...unavailable },
  "a port that hangs up": { serve: () => createServer((socket) => socket.destroy()), ...unavailable },
  "a port that talks nonsense": {
    serve: () => createServer((socket) => socket.write("220 mail.example ESMTP\r\n".repeat(10))),
    ...unavailable,
  },
  "an HTTP/1.1 server": {
    serve: () => createHttpServer((_request, response) => response.end("hello")),
    ...unavailable,
  },
  "an HTTP/2 server that speaks no gRPC": {
    serve: () => createHttp2Server((_request, response) => response.end("hello")),
    status: 500,
    code: "internal",
    reason: "LOGIC_ERROR",
    looksRight: true,
  },
  "a gRPC server without these services": {
    serve: () =>
      createHttp2Server().on("stream", (stream) => {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": "12" },
          { endStream: true },
        );
      }),
    status: 501,
    code: "unimplemented",
    reason: "LOGIC_ERROR",
    looksRight: true,
  },
  "a gRPC server whose answer is no message": {
    serve: () =>
      createHttp2Server().on("stream", (stream) => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.from([0, 0, 0, 0, 3, 0xff, 0xff, 0xff]));
      }),
    status: 500,
    code: "internal",
    reason: "LOGIC_ERROR",
    looksRight: true,
  },
  "a gRPC server that never answers": {
    serve: () => createHttp2Server().on("stream", () => {}),
    status: 504,
    code: "deadline_exceeded",
    reason: "LOGIC_TIMEOUT",
    looksRight: true,
  },
};

export function wrongLogicScenarios(command: GatewayCommand): void {
  describe.each(Object.entries(impostors))(`${command}, %s in im-logic's place`, (_name, impostor) => {
    const { serve, looksRight = false, status, ...refusal } = impostor;
    let gateway: GatewayAddress & { stop(): Promise<void> };

    beforeAll(async () => {
      gateway = await startGateway(command, serve());
    });
    afterAll(() => gateway.stop());

    test("calls settle in time, over REST and over the socket", async () => {
      if (looksRight) {
        await waitFor(async () => (await ready(gateway)).status === 200, { timeoutMs: 10_000, what: "to look ready" });
      } else {
        expect(await ready(gateway)).toMatchObject({ status: 503, text: expect.stringContaining("im-logic") });
      }
      const before = await scrape(gateway.metrics);
      const startedMs = performance.now();
      const settledInTime = (): void => expect(performance.now() - startedMs).toBeLessThan(timeoutMs + slackMs);
      const headers = { authorization: `Bearer ${token}` };
      const byRest = exchange(gateway.http, { method: "GET", path: "/api/v1/users/me", headers });
      const socket = await connect(gateway, { accessToken: token });
      const call = socket.send("call", { method: "im.logic.v1.UserService/GetMe" });
      const read = socket.send("mark-read", { conversation_id: "c", seq_id: 1 });
      for (const id of [call, read]) {
        expectErrorFrame(await socket.next("error", ({ message_id }) => message_id === id), refusal);
        settledInTime();
      }
      expectRefusal(await byRest, { status, ...refusal });
      settledInTime();
      const counted = changes("grpc_client_calls_total", before, await scrape(gateway.metrics));
      expect(counted).toEqual({
        [`method="im.logic.v1.UserService/GetMe",code="${refusal.code}"`]: 2,
        [`method="im.logic.v1.ConversationService/MarkRead",code="${refusal.code}"`]: 1,
      });
      // What needs no im-logic goes on.
      await socket.say("c", "meanwhile");
      await socket.close();
    });

    test("a resume is answered in time, and never says that nothing is missing", async () => {
      const socket = await connect(gateway, { accessToken: token });
      const startedMs = performance.now();
      const resume = socket.send("resume", { cursors: { c: 1 } });
      const closing = await socket.next("resync-required");
      expect(performance.now() - startedMs).toBeLessThan(timeoutMs + slackMs);
      const reason = refusal.code === "unimplemented" ? "NO_HISTORY" : "LOGIC_UNAVAILABLE";
      expect(closing).toMatchObject({ message_id: resume, data: { reason, conversation_ids: [] } });
      await socket.close();
    });
  });
}

/** Everything else is in its process. `stop` ends both. */
async function startGateway(
  command: GatewayCommand,
  impostor: Server,
): Promise<GatewayAddress & { stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  impostor.on("connection", (socket: Socket) => {
    sockets.add(socket);
    // A peer that gives up on an impostor may reset the connection.
    socket.on("error", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
  const { port } = impostor.address() as AddressInfo;
  const { gateway, settings } = await freeGateway();
  const program = launch("a misled gateway", command, [
    ...settings,
    `grpc.logic.direct_addr=127.0.0.1:${port}`,
    `grpc.logic.timeout=${timeoutMs}ms`,
  ]);
  await waitFor(async () => await takesSockets(gateway), { timeoutMs: 20_000, what: "the gateway to take sockets" });
  return {
    ...gateway,
    async stop() {
      const { code } = await program.stop();
      for (const socket of sockets) {
        socket.destroy();
      }
      impostor.close();
      expect(code).toBe(0);
    },
  };
}

async function takesSockets(gateway: GatewayAddress): Promise<boolean> {
  const socket = openSocket(gateway.ws);
  await socket.opened;
  await socket.close();
  return true;
}

async function ready({ http }: GatewayAddress): Promise<{ readonly status: number; readonly text: string }> {
  const { status, text } = await exchange(http, { method: "GET", path: "/ready" });
  asRecord(JSON.parse(text));
  return { status, text };
}
