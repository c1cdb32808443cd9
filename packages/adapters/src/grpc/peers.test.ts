// What happens to calls as endpoints come, go, die and fall silent.
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { reasonOf } from "@im-gateway/core";
import { AuthService, UserService } from "@im-gateway/proto";
import { freePort, type Part, startProcess, waitFor } from "@im-gateway/tools/process";
import { afterEach, describe, expect, it } from "vitest";
import { answering, type LogicServer, type LogicServerOptions, serveLogic } from "../../fixtures/logic-server.ts";
import { createGrpcTransport, type Endpoint, type EndpointSource, fixedEndpoints } from "./index.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Clients {
  readonly users: Client<typeof UserService>;
  /** Login is not idempotent. */
  readonly auth: Client<typeof AuthService>;
}

function connect(endpoints: readonly number[] | EndpointSource): Clients {
  const source = "current" in endpoints ? endpoints : fixedEndpoints(endpoints.map(at));
  const transport = createGrpcTransport({ endpoints: source, timeoutMs: 3_000, connectTimeoutMs: 1_000, log() {} });
  closers.push(transport.close);
  return { users: createClient(UserService, transport), auth: createClient(AuthService, transport) };
}

const at = (port: number): Endpoint => ({ address: "127.0.0.1", port });

async function serve(options: LogicServerOptions = answering): Promise<LogicServer> {
  const server = await serveLogic(options);
  closers.push(server.close);
  return server;
}

/** A server in a process of its own, to be killed and frozen. */
async function spawnServer(port: number): Promise<Part> {
  const script = join(import.meta.dirname, "../../fixtures/logic-server.ts");
  const args = ["--conditions=@im-gateway/source", script, String(port)];
  const part = startProcess({ name: "logic server", command: process.execPath, args });
  closers.push(() => part.kill());
  await part.waitForLine(/listening/, 10_000);
  return part;
}

/** Accepts connections and never says a word. */
async function serveSilence(): Promise<number> {
  const server = createServer((socket) => {
    closers.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call did not fail with a ConnectError", { cause: error });
  return error;
}

async function expectUnavailable(call: Promise<unknown>): Promise<void> {
  const error = await failureOf(call);
  expect(error.code, error.message).toBe(Code.Unavailable);
  expect(reasonOf(error)).toBe("LOGIC_UNAVAILABLE");
  expect(error.rawMessage).not.toMatch(/ECONN|127\.0\.0\.1|RST_STREAM/);
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

describe("without a peer, a call is Unavailable", () => {
  it("at once when there is no endpoint", async () => {
    const { users } = connect([]);
    expect(await elapsedMs(() => expectUnavailable(users.getUser({ userId: "u-1" })))).toBeLessThan(500);
  });

  it("soon when every endpoint refuses", async () => {
    const { users } = connect([await freePort(), await freePort()]);
    expect(await elapsedMs(() => expectUnavailable(users.getUser({ userId: "u-1" })))).toBeLessThan(900);
  });

  it("after the connect timeout when the only endpoint is silent", async () => {
    const { users } = connect([await serveSilence()]);
    const tookMs = await elapsedMs(() => expectUnavailable(users.getUser({ userId: "u-1" })));
    expect(tookMs).toBeGreaterThan(950);
    expect(tookMs).toBeLessThan(2_500);
  });

  it("when the host name does not exist", async () => {
    const { users } = connect(fixedEndpoints([{ address: "no-such-host.invalid", port: 1 }]));
    await expectUnavailable(users.getUser({ userId: "u-1" }));
  });
});

describe("beside a peer that answers", () => {
  it.each([
    ["refuses", freePort],
    ["is silent", serveSilence],
  ])("one that %s is not noticed", async (_, other) => {
    const { port } = await serve();
    const { auth } = connect([await other(), port, await other()]);
    const tookMs = await elapsedMs(async () => {
      for (let call = 0; call < 50; call += 1) await auth.login({ username: `${call}` });
    });
    expect(tookMs).toBeLessThan(5_000);
  });

  it("one that is slow gets fewer calls", async () => {
    const calls = { slow: 0, quick: 0 };
    const slow = await serve({
      user: {
        async getUser() {
          calls.slow += 1;
          await new Promise((resolve) => setTimeout(resolve, 100));
          return {};
        },
      },
    });
    const quick = await serve({
      user: {
        getUser() {
          calls.quick += 1;
          return {};
        },
      },
    });
    const { users } = connect([slow.port, quick.port]);
    await waitFor(() => slow.sessions.size + quick.sessions.size === 2, { timeoutMs: 2_000, what: "both connections" });
    const lane = async (): Promise<void> => {
      for (let call = 0; call < 10; call += 1) await users.getUser({ userId: "u-1" });
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    expect(calls.slow).toBeGreaterThan(0);
    expect(calls.quick).toBeGreaterThan(calls.slow * 3);
  });
});

describe("one of three peers", () => {
  const sick: readonly (readonly [string, LogicServerOptions["user"]])[] = [
    ["hangs", { getUser: () => new Promise(() => {}) }],
    ["answers errors", { getUser: () => Promise.reject(new Error("out of order")) }],
  ];
  it.each(sick)("that %s fails a few calls, then hardly any", async (_, user) => {
    let asked = 0;
    const servers = await Promise.all([
      serve(),
      serve(),
      serve({
        user: {
          getUser: (request, context) => {
            asked += 1;
            return user?.getUser?.(request, context) ?? {};
          },
        },
      }),
    ]);
    const source = fixedEndpoints(servers.map(({ port }) => at(port)));
    const transport = createGrpcTransport({ endpoints: source, timeoutMs: 1_200, log() {} });
    closers.push(transport.close);
    const users = createClient(UserService, transport);
    await waitFor(() => servers.every(({ sessions }) => sessions.size === 1), {
      timeoutMs: 2_000,
      what: "connections",
    });
    const failures = async (lanes: number, calls: number): Promise<number> => {
      let failed = 0;
      const lane = async (): Promise<void> => {
        for (let call = 0; call < calls; call += 1) await users.getUser({ userId: "u-1" }).catch(() => (failed += 1));
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      return failed;
    };
    // Ten callers wait for their answer before they ask again: five of them find out.
    await failures(10, 20);
    const found = asked;
    expect(found).toBeGreaterThan(0);
    expect(await failures(10, 100)).toBeLessThanOrEqual(10);
    expect(asked - found).toBeLessThanOrEqual(10);
  });
});

describe("a peer that dies", () => {
  it("with a call running makes it Unavailable, and what is not idempotent is not called again", async () => {
    const dying = await spawnServer(await freePort());
    const port = Number(dying.output.join().match(/listening on (\d+)/)?.[1]);
    const { auth } = connect([port]);
    const running = auth.login({ username: "hang" });
    await auth.login({ username: "arrived" });
    const outcome = expectUnavailable(running);
    await dying.kill();
    await outcome;
  });

  it("with a call running that is idempotent: another peer answers", async () => {
    const port = await freePort();
    const dying = await spawnServer(port);
    let endpoints: readonly Endpoint[] = [at(port)];
    const listeners = new Set<() => void>();
    const { users } = connect({ current: () => endpoints, subscribe: (changed) => listeners.add(changed) });
    const running = users.getUser({ userId: "hang" });
    await users.getUser({ userId: "arrived" });
    const other = await serve({ user: { getUser: ({ userId }) => ({ userId, nickname: "other" }) } });
    endpoints = [at(port), at(other.port)];
    for (const changed of listeners) changed();
    await waitFor(() => other.sessions.size === 1, { timeoutMs: 2_000, what: "the second connection" });
    await dying.kill();
    expect((await running).nickname).toBe("other");
  });

  it("and comes back at its address is called again", async () => {
    const port = await freePort();
    const first = await spawnServer(port);
    const { auth } = connect([port]);
    await auth.login({ username: "before" });
    await first.kill();
    await expectUnavailable(auth.login({ username: "between" }));
    await spawnServer(port);
    await waitFor(() => auth.login({ username: "after" }), { timeoutMs: 3_000, what: "an answer of the new process" });
  });

  it("frozen, holds a call no longer than its deadline", async () => {
    const port = await freePort();
    const part = await spawnServer(port);
    const { users } = connect([port]);
    await users.getUser({ userId: "before" });
    part.freeze();
    const call = failureOf(users.getUser({ userId: "frozen" }, { timeoutMs: 300 }));
    const tookMs = await elapsedMs(async () => expect((await call).code).toBe(Code.DeadlineExceeded));
    expect(tookMs).toBeLessThan(2_500);
    part.thaw();
    expect((await users.getUser({ userId: "after" })).userId).toBe("after");
  });
});

describe("a stream that is cut without a status", () => {
  // The codes of RFC 9113 §7 that a proxy, or a server that goes down, sends.
  it.each([
    ["NO_ERROR", 0],
    ["CANCEL", 8],
    ["REFUSED_STREAM", 7],
  ])("by %s is Unavailable", async (_, code) => {
    const server = createHttp2Server();
    server.on("stream", (stream) => {
      // The reset itself.
      stream.on("error", () => {});
      stream.close(code);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => server.close());
    const { auth } = connect([(server.address() as AddressInfo).port]);
    await expectUnavailable(auth.login({ username: "u-1" }));
  });
});

describe("connections", () => {
  it("take a cold burst beyond the server's concurrent streams", async () => {
    const { port } = await serve({ ...answering, settings: { maxConcurrentStreams: 50 } });
    const { users } = connect([port]);
    const answers = await Promise.all(Array.from({ length: 300 }, (_, call) => users.getUser({ userId: `${call}` })));
    expect(answers.map(({ userId }) => userId)).toEqual(Array.from({ length: 300 }, (_, call) => `${call}`));
  });

  it("go on after a GOAWAY, which lets the running call end", async () => {
    let answer = (): void => {};
    const server = await serve({
      user: {
        getUser: ({ userId }) =>
          userId === "slow" ? new Promise((resolve) => (answer = () => resolve({ userId }))) : { userId },
      },
    });
    const { users } = connect([server.port]);
    const slow = users.getUser({ userId: "slow" });
    await users.getUser({ userId: "arrived" });
    for (const session of server.sessions) session.goaway();
    expect((await users.getUser({ userId: "next" })).userId).toBe("next");
    answer();
    expect((await slow).userId).toBe("slow");
  });

  it("are looked for anew by a call that waited for one which is gone from the list", async () => {
    const { port } = await serve();
    let endpoints: readonly Endpoint[] = [at(await serveSilence())];
    let changed = (): void => {};
    const { auth } = connect({
      current: () => endpoints,
      subscribe(listener) {
        changed = listener;
      },
    });
    const waiting = auth.login({ username: "patient" });
    await new Promise((resolve) => setImmediate(resolve));
    endpoints = [at(port)];
    changed();
    expect((await waiting).accessToken).toBe("patient");
  });

  it("follow the list of endpoints: a new one is called, one that is gone is closed after its calls ended", async () => {
    let answer = (): void => {};
    const first = await serve({
      user: { getUser: () => new Promise((resolve) => (answer = () => resolve({ nickname: "first" }))) },
    });
    const second = await serve({ user: { getUser: () => ({ nickname: "second" }) } });
    let endpoints: readonly Endpoint[] = [at(first.port)];
    let changed = (): void => {};
    const { users } = connect({
      current: () => endpoints,
      subscribe(listener) {
        changed = listener;
      },
    });
    const running = users.getUser({ userId: "u-1" });
    await waitFor(() => first.sessions.size === 1, { timeoutMs: 2_000, what: "the first connection" });
    endpoints = [at(second.port)];
    changed();
    expect((await users.getUser({ userId: "u-2" })).nickname).toBe("second");
    expect(first.sessions.size).toBe(1);
    answer();
    expect((await running).nickname).toBe("first");
    await waitFor(() => first.sessions.size === 0, { timeoutMs: 2_000, what: "the first connection to close" });
  });
});
