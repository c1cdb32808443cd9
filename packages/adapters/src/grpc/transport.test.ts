import { type Client, Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { failure, reasonOf } from "@im-gateway/core";
import { AuthService, BadRequestSchema, ErrorInfoSchema, RetryInfoSchema, UserService } from "@im-gateway/proto";
import { waitFor } from "@im-gateway/tools/process";
import { afterEach, describe, expect, it } from "vitest";
import { type LogicServer, type LogicServerOptions, serveLogic } from "../../fixtures/logic-server.ts";
import { createGrpcTransport, fixedEndpoints, type GrpcTransport, type GrpcTransportOptions } from "./index.ts";

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type GetUser = NonNullable<NonNullable<LogicServerOptions["user"]>["getUser"]>;

/** A client of a server whose GetUser is `getUser`. */
async function serveUsers(
  getUser: GetUser,
  options: Partial<GrpcTransportOptions> = {},
): Promise<{ users: Client<typeof UserService>; server: LogicServer; transport: GrpcTransport }> {
  const server = await serveLogic({ user: { getUser } });
  const endpoints = fixedEndpoints([{ address: "127.0.0.1", port: server.port }]);
  const transport = createGrpcTransport({ endpoints, log() {}, ...options });
  closers.push(server.close, transport.close);
  return { users: createClient(UserService, transport), server, transport };
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call did not fail with a ConnectError", { cause: error });
  return error;
}

/** Until the caller gives up. */
function never(context: HandlerContext): Promise<never> {
  return new Promise((_, reject) => {
    context.signal.addEventListener("abort", () => reject(new ConnectError("gone", Code.Canceled)));
  });
}

it("carries the message both ways, with headers and trailers", async () => {
  let received = new Headers();
  const { users } = await serveUsers((request, context) => {
    received = context.requestHeader;
    context.responseHeader.set("x-answered-by", "one");
    context.responseTrailer.set("x-cost", "3");
    context.responseTrailer.set("x-raw-bin", "AQL/");
    return { userId: request.userId, nickname: "测试用户", createdAt: 1634567890n };
  });
  let header = new Headers();
  let trailer = new Headers();
  const user = await users.getUser(
    { userId: "u-1" },
    {
      headers: {
        "X-Trace-Id": "t-1",
        "x-raw-bin": "AQL/",
        "x-latin": "caf\u00e9",
        "grpc-timeout": "1n",
        "grpc-evil": "1",
        host: "elsewhere",
        te: "gzip",
        "user-agent": "curl",
        "content-type": "text/plain",
      },
      onHeader: (value) => {
        header = value;
      },
      onTrailer: (value) => {
        trailer = value;
      },
    },
  );
  expect(user).toMatchObject({ userId: "u-1", nickname: "测试用户", createdAt: 1634567890n });
  expect(header.get("x-answered-by")).toBe("one");
  expect(trailer.get("x-cost")).toBe("3");
  expect(trailer.get("x-raw-bin")).toBe("AQL/");
  expect(received.get("x-trace-id")).toBe("t-1");
  expect(received.get("x-raw-bin")).toBe("AQL/");
  for (const name of ["x-latin", "grpc-evil"]) expect(received.has(name), name).toBe(false);
  expect(received.get("te")).toBe("trailers");
  expect(received.get("user-agent")).toMatch(/^grpc-node/);
  expect(received.get("content-type")).toMatch(/^application\/grpc/);
  expect(received.get("host")).not.toBe("elsewhere");
});

describe("an error of the server", () => {
  const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
  it.each(codes.map((code) => [Code[code], code] as const))(
    "%s keeps its code, message and details",
    async (_, code) => {
      const { users } = await serveUsers(() => {
        throw failure(code, "A_REASON", "a: b/c? 世界 100%", {
          retryAfterMs: 1500,
          violations: [{ field: "user_id", description: "is odd" }],
          metadata: { key: "value" },
        });
      });
      const error = await failureOf(users.getUser({ userId: "u-1" }));
      expect(error.code).toBe(code);
      expect(error.rawMessage).toBe("a: b/c? 世界 100%");
      expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "A_REASON", metadata: { key: "value" } }]);
      expect(error.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n, nanos: 500_000_000 } }]);
      expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
        { field: "user_id", description: "is odd" },
      ]);
    },
  );

  it("keeps its message without details, and its metadata", async () => {
    const { users } = await serveUsers(() => {
      throw new ConnectError("no: such/user? 世界 100%", Code.NotFound, { "x-hint": "try another" });
    });
    const error = await failureOf(users.getUser({ userId: "u-1" }));
    expect(error.code).toBe(Code.NotFound);
    expect(error.rawMessage).toBe("no: such/user? 世界 100%");
    expect(error.metadata.get("x-hint")).toBe("try another");
  });

  it("that is a bug there is Internal", async () => {
    const { users } = await serveUsers(() => {
      throw new Error("a bug");
    });
    expect((await failureOf(users.getUser({ userId: "u-1" }))).code).toBe(Code.Internal);
  });

  it("is Unavailable when the server gave up on the call without a reason of its own", async () => {
    const { users } = await serveUsers(() => {
      throw new ConnectError("shutting down", Code.Canceled);
    });
    const error = await failureOf(users.getUser({ userId: "u-1" }));
    expect(error.code).toBe(Code.Unavailable);
    expect(reasonOf(error)).toBe("LOGIC_UNAVAILABLE");
  });
});

describe("a deadline", () => {
  it.each([
    ["the caller's", { timeoutMs: 5_000 }, 150],
    ["the transport's, when the caller allows more", { timeoutMs: 150 }, 60_000],
    ["the transport's, when the caller names none", { timeoutMs: 150 }, undefined],
  ] as const)("ends a call: %s", async (_, options, timeoutMs) => {
    let remainingMs: number | undefined;
    const { users } = await serveUsers((_request, context) => {
      remainingMs = context.timeoutMs();
      return never(context);
    }, options);
    const startedMs = performance.now();
    const error = await failureOf(users.getUser({ userId: "u-1" }, timeoutMs === undefined ? {} : { timeoutMs }));
    const tookMs = performance.now() - startedMs;
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect(reasonOf(error)).toBe("LOGIC_TIMEOUT");
    expect(tookMs).toBeGreaterThanOrEqual(140);
    expect(tookMs).toBeLessThan(3_000);
    expect(remainingMs).toBeGreaterThan(0);
    expect(remainingMs).toBeLessThanOrEqual(150);
  });

  it.each([1500.5, 0.4, 1e9])("takes %s ms, which gRPC cannot write as it is", async (timeoutMs) => {
    const { users } = await serveUsers(({ userId }) => ({ userId }), { timeoutMs: 2e9 });
    await users.getUser({ userId: "warm" });
    const call = users.getUser({ userId: "u-1" }, { timeoutMs });
    if (timeoutMs < 1)
      expect([undefined, Code.DeadlineExceeded]).toContain(
        await call.then(
          () => undefined,
          (error) => error.code,
        ),
      );
    else expect((await call).userId).toBe("u-1");
  });

  it.each([0, -1])("of %s ms has passed before the call begins", async (timeoutMs) => {
    let calls = 0;
    const { transport } = await serveUsers(() => {
      calls += 1;
      return {};
    });
    const call = transport.unary(UserService.method.getUser, undefined, timeoutMs, undefined, { userId: "u-1" });
    expect((await failureOf(call)).code).toBe(Code.DeadlineExceeded);
    expect(calls).toBe(0);
  });
});

describe("the caller's signal", () => {
  it("cancels the call here and at the server", async () => {
    let context: HandlerContext | undefined;
    const { users } = await serveUsers((_, received) => {
      context = received;
      return never(received);
    });
    const controller = new AbortController();
    const call = failureOf(users.getUser({ userId: "u-1" }, { signal: controller.signal }));
    await waitFor(() => context, { timeoutMs: 2_000, what: "the call to arrive" });
    controller.abort(new Error("enough"));
    expect((await call).code).toBe(Code.Canceled);
    await waitFor(() => context?.signal.aborted, { timeoutMs: 2_000, what: "the server to see the cancellation" });
  });

  it("is no lost peer, also where nothing may be called twice", async () => {
    let arrived = false;
    const login = (_: unknown, context: HandlerContext): Promise<never> => {
      arrived = true;
      return never(context);
    };
    const server = await serveLogic({ auth: { login } });
    const transport = createGrpcTransport({
      endpoints: fixedEndpoints([{ address: "127.0.0.1", port: server.port }]),
      log() {},
    });
    closers.push(server.close, transport.close);
    const controller = new AbortController();
    const call = createClient(AuthService, transport).login({ username: "u-1" }, { signal: controller.signal });
    const failed = failureOf(call);
    await waitFor(() => arrived, { timeoutMs: 2_000, what: "the call to arrive" });
    controller.abort();
    expect((await failed).code).toBe(Code.Canceled);
  });

  it("that has aborted already lets nothing out", async () => {
    let calls = 0;
    const { users } = await serveUsers(() => {
      calls += 1;
      return {};
    });
    await users.getUser({ userId: "warm" });
    expect((await failureOf(users.getUser({ userId: "u-1" }, { signal: AbortSignal.abort() }))).code).toBe(
      Code.Canceled,
    );
    await users.getUser({ userId: "after" });
    expect(calls).toBe(2);
  });
});

describe("close", () => {
  it("ends the calls that run, and later ones, as Unavailable", async () => {
    let arrived = false;
    const { users, transport, server } = await serveUsers((_, context) => {
      arrived = true;
      return never(context);
    });
    const running = failureOf(users.getUser({ userId: "u-1" }));
    await waitFor(() => arrived, { timeoutMs: 2_000, what: "the call to arrive" });
    transport.close();
    expect((await running).code).toBe(Code.Unavailable);
    const later = await failureOf(users.getUser({ userId: "u-2" }));
    expect(later.code).toBe(Code.Unavailable);
    expect(reasonOf(later)).toBe("LOGIC_UNAVAILABLE");
    await waitFor(() => server.sessions.size === 0, { timeoutMs: 2_000, what: "the connection to close" });
  });
});
