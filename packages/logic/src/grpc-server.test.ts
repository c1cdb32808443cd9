import { EventEmitter, once } from "node:events";
import { type Client, Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { Log } from "@im-gateway/core";
import { UserService } from "@im-gateway/proto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { failureOf, type Services, servicesOf, startLogic, type TestLogic } from "../test/start-logic.ts";
import { createGrpcServer, type GrpcServer } from "./grpc-server.ts";

const log: Log = () => undefined;
const addr = { host: "127.0.0.1", port: 0 };

let im: TestLogic;
let server: GrpcServer;
let remote: Services;

beforeEach(async () => {
  im = await startLogic();
  server = await createGrpcServer({ routes: im.logic.routes, addr, log });
  remote = servicesOf(createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.address.port}` }));
});
afterEach(async () => {
  // Its clients are idle: it must not need the deadline.
  await server.close(600_000);
  await im.stop();
});

it("answers calls over a socket", async () => {
  const { user } = await remote.auth.guest({ nickname: "Ada" });
  expect(await remote.user.getMe({ callerId: user?.userId ?? "" })).toMatchObject({ nickname: "Ada" });
});

it("hands errors on with their details", async () => {
  expect(await failureOf(remote.auth.login({}))).toEqual({
    code: Code.InvalidArgument,
    reason: "INVALID_FIELD",
    fields: ["username", "password"],
  });
  expect(await failureOf(remote.user.getMe({ callerId: "nobody" }))).toMatchObject({ reason: "USER_NOT_FOUND" });
});

it("says nothing about faults of its own but to the log", async () => {
  const stopped = await startLogic();
  const other = await createGrpcServer({ routes: stopped.logic.routes, addr, log });
  await stopped.stop();
  const { user } = servicesOf(createGrpcTransport({ baseUrl: `http://127.0.0.1:${other.address.port}` }));
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  await expect(user.getMe({ callerId: "x" }, { headers })).rejects.toMatchObject({
    code: Code.Internal,
    rawMessage: "internal error",
  });
  expect(stopped.logLines).toMatchObject([
    {
      level: "error",
      fields: {
        method: "im.logic.v1.UserService/GetMe",
        trace_id: traceId,
        user_id: "x",
        error: expect.objectContaining({ stack: expect.stringMatching(/^Error: .*\n +at .*accounts/) }),
      },
    },
  ]);
  await other.close(1000);
});

/** A server with one method that answers when it is let go. */
async function startSlow(): Promise<{
  readonly slow: GrpcServer;
  readonly client: Client<typeof UserService>;
  readonly reached: Promise<unknown>;
  readonly release: () => void;
}> {
  const gate = new EventEmitter();
  const reached = once(gate, "reached");
  const released = once(gate, "released");
  const slow = await createGrpcServer({
    routes: (router) =>
      router.service(UserService, {
        getMe: async () => {
          gate.emit("reached");
          await released;
          return { nickname: "slow" };
        },
      }),
    addr,
    log,
  });
  const baseUrl = `http://127.0.0.1:${slow.address.port}`;
  const client = createClient(UserService, createGrpcTransport({ baseUrl }));
  return { slow, client, reached, release: () => gate.emit("released") };
}

it("lets calls that run finish before it closes, and takes no more", async () => {
  const { slow, client, reached, release } = await startSlow();
  const call = client.getMe({});
  await reached;
  const closed = slow.close();
  const refused = createClient(
    UserService,
    createGrpcTransport({ baseUrl: `http://127.0.0.1:${slow.address.port}` }),
  ).getMe({});
  expect(await failureOf(refused)).toMatchObject({ code: Code.Unavailable });
  release();
  expect(await call).toMatchObject({ nickname: "slow" });
  await closed;
});

it("cuts off after the deadline what does not end", async () => {
  const { slow, client, reached } = await startSlow();
  const call = client.getMe({}).catch(() => "cut off");
  await reached;
  await slow.close(20);
  expect(await call).toBe("cut off");
});

it("rejects when the port is taken", async () => {
  const taken = createGrpcServer({ routes: im.logic.routes, addr: { ...addr, port: server.address.port }, log });
  await expect(taken).rejects.toMatchObject({ code: "EADDRINUSE" });
});
