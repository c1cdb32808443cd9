// What a runtime's server owes to the gateway, byte by byte: the same on each of them.
import { randomUUID } from "node:crypto";
import { type Part, waitFor } from "@im-gateway/tools/process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { connect, direct, openSocket, refusedUpgrade, register, type User } from "./client.ts";
import { closeFrame, connectRaw, frame, handshake, type RawConnection, request } from "./raw-connection.ts";
import type { GatewayAddress } from "./world.ts";
import { gatewayCommands } from "./world.ts";
import { freeAddress, freeGateway, launch } from "./worlds/program.ts";

const [text, binary, continuation] = [0x81, 0x82, 0x80];
const [textBegins, compressed, reserved] = [0x01, 0xc1, 0x83];
const closes = (code: number | string): string => `websocket_connections_closed_total{code="${code}"}`;
const login = "POST /api/v1/auth/login";

const ping = (id: string): Buffer => frame(text, JSON.stringify({ type: "ping", message_id: id }));

describe.each(gatewayCommands)("the server of %s", (command) => {
  let process: Part;
  let gateway: GatewayAddress;
  let user: User;

  const start = async (...settings: readonly string[]): Promise<{ process: Part; gateway: GatewayAddress }> => {
    const { gateway, settings: ports } = await freeGateway();
    return { process: launch("gateway", command, [...ports, ...settings]), gateway };
  };

  beforeAll(async () => {
    const started = await start(
      "server.max_body_bytes=1000B",
      "server.read_timeout=2s",
      "server.write_timeout=3s",
      "websocket.max_frame_bytes=1000B",
      "websocket.send_buffer_bytes=64KiB",
      "websocket.heartbeat_interval=2s",
      "websocket.heartbeat_timeout=1s",
    );
    ({ process, gateway } = started);
    await process.waitForLine(/"message":"listening"/, 20_000);
    user = await register(gateway, "user");
  });
  afterAll(async () => {
    expect((await process.stop()).code).toBe(0);
  });

  const opened = async (): Promise<RawConnection> => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(handshake(`/ws?token=${user.accessToken}`));
    await connection.until("connected", ({ received }) => received.includes('"connected"'));
    return connection;
  };

  /** The sum of a metric's series, of those that begin like this. */
  const count = async (series: string, of: GatewayAddress = gateway): Promise<number> => {
    const lines = (await (await fetch(of.metrics)).text()).split("\n");
    const values = lines
      .filter((line) => line.startsWith(`im_gateway_${series}`))
      .map((line) => line.split(" ").at(-1));
    return values.reduce((sum, value) => sum + Number(value), 0);
  };
  const allCloses = (): Promise<number> => count("websocket_connections_closed_total{");

  test.each(["8", "12", "14", "99", "x"])("a handshake of version %s: our own answer, counted", async (version) => {
    const before = await count('http_requests_total{method="OTHER",route="none",status="400"');
    const connection = await connectRaw(gateway);
    const asked = handshake(`/ws?token=${user.accessToken}`).replace("version: 13", `version: ${version}`);
    connection.tcp.write(asked);
    await connection.until("the answer", ({ received }) => received.includes("BAD_HANDSHAKE"));
    expect(connection.received).toMatch(/^HTTP\/1\.1 400 [\s\S]*sec-websocket-version: 13\r\n/i);
    expect(await count('http_requests_total{method="OTHER",route="none",status="400"')).toBe(before + 1);
    connection.tcp.destroy();
  });

  test.each([
    ["a binary frame", 1003, [frame(binary, "x")]],
    ["a text that is not UTF-8", 1007, [frame(text, Buffer.from([0xff, 0xfe]))]],
    ["a frame that is too large", 1009, [frame(text, "x".repeat(1001))]],
    [
      "pieces that are too large together",
      1009,
      [frame(textBegins, "x".repeat(600)), frame(continuation, "x".repeat(600))],
    ],
    ["a frame without a mask", 1002, [Buffer.from([text, 1, 0x78])]],
    ["an unknown kind of frame", 1002, [frame(reserved, "x")]],
    ["a compressed frame that nobody agreed on", 1002, [frame(compressed, "x")]],
    ["a close code that nobody may send", 1002, [frame(0x88, Buffer.from([0x03, 0xed]))]],
  ])("%s closes %i", async (_name, code, frames) => {
    const connection = await opened();
    for (const one of frames) {
      connection.tcp.write(one);
    }
    await connection.until("a close frame", ({ received }) => closeFrame(code).test(received));
    connection.tcp.destroy();
  });

  test.each([
    ["of a peer", 1000, (socket: WebSocket) => socket.close(1000, "bye")],
    ["of a peer by a code of its own", "other", (socket: WebSocket) => socket.close(4008, "bye")],
    ["for what is not UTF-8", 1007, (socket: WebSocket) => socket.send(Buffer.from([0xff]), { binary: false })],
    ["for what is too large", 1009, (socket: WebSocket) => socket.send("x".repeat(1001))],
    ["for what is binary", 1003, (socket: WebSocket) => socket.send(Buffer.from("x"))],
    ["that never came", 1006, (socket: WebSocket) => socket.terminate()],
  ])("a close %s is counted once, by its code", async (_name, code, act) => {
    const series = closes(code);
    const [before, allBefore] = [await count(series), await allCloses()];
    const socket = new WebSocket(`${gateway.ws}?token=${user.accessToken}`);
    await new Promise((resolve) => socket.once("message", resolve));
    act(socket);
    await new Promise((resolve) => socket.once("close", resolve));
    await waitFor(async () => (await count(series)) > before, { timeoutMs: 5000, what: `a close ${code}` });
    expect(await count(series)).toBe(before + 1);
    expect(await allCloses()).toBe(allBefore + 1);
  });

  test("pieces of a text are one frame, and a ping is answered", async () => {
    const connection = await opened();
    connection.tcp.write(frame(textBegins, '{"type":"ping",'));
    connection.tcp.write(frame(0x89, "beat"));
    connection.tcp.write(frame(continuation, '"message_id":"split"}'));
    await connection.until("pongs", ({ received }) => received.includes("split") && received.includes("\x8a\x04beat"));
    connection.tcp.destroy();
  });

  test("frames arrive whole and in order, also while the reader pauses", async () => {
    const socket = new WebSocket(`${gateway.ws}?token=${user.accessToken}`);
    const ids: string[] = [];
    socket.on("message", (data) => {
      const { type, message_id }: { type: string; message_id: string } = JSON.parse(data.toString());
      if (type === "connected") {
        socket.pause();
        for (let n = 0; n < 1000; n++) {
          socket.send(JSON.stringify({ type: "ping", message_id: `${n} ü€😀` }));
        }
      } else {
        ids.push(message_id);
      }
    });
    await waitFor(() => socket.isPaused, { timeoutMs: 5000, what: "the pause" });
    await waitFor(() => socket.bufferedAmount === 0, { timeoutMs: 5000, what: "all to be sent" });
    socket.resume();
    await waitFor(() => ids.length === 1000, { timeoutMs: 10_000, what: "all answers" });
    expect(ids).toEqual(Array.from({ length: 1000 }, (_, n) => `${n} ü€😀`));
    socket.terminate();
  });

  test("the answers of one turn leave in one write", async () => {
    const connection = await opened();
    const before = connection.pieces;
    const many = 3000;
    connection.tcp.write(Buffer.concat(Array.from({ length: many }, () => ping("m"))));
    await connection.until("all pongs", ({ received }) => received.split('"pong"').length === many + 1);
    // A few: the pings come in as many. One by one the answers would come in hundreds.
    expect(connection.pieces - before).toBeLessThanOrEqual(30);
    connection.tcp.destroy();
  });

  test("bytes are counted as they are on the wire", async () => {
    const [inBefore, outBefore] = [
      await count('websocket_bytes_total{direction="in"}'),
      await count('websocket_bytes_total{direction="out"}'),
    ];
    const socket = openSocket(`${gateway.ws}?token=${user.accessToken}`);
    let bytes = 0;
    await socket.next("connected");
    const sent = JSON.stringify({ type: "ping", message_id: "ü€😀" });
    socket.sendText(sent);
    await socket.next("pong");
    await socket.close();
    for (const one of socket.frames) {
      bytes += Buffer.byteLength(JSON.stringify(one));
    }
    expect((await count('websocket_bytes_total{direction="in"}')) - inBefore).toBe(Buffer.byteLength(sent));
    expect((await count('websocket_bytes_total{direction="out"}')) - outBefore).toBe(bytes);
  });

  test("a slow reader is closed 4008 and dropped, nobody else notices", async () => {
    const bystander = await connect(gateway, user);
    const connections = await count("websocket_connections ");
    const before = await count(closes(4008));
    const slow = await opened();
    slow.tcp.pause();
    const many = Buffer.concat(Array.from({ length: 1000 }, () => ping("x".repeat(900))));
    // Until the buffers of both systems are full.
    const timer = setInterval(
      () => slow.tcp.writable && slow.tcp.writableLength < many.length && slow.tcp.write(many),
      5,
    );
    try {
      await process.waitForLine(/"message":"connection closed.*"close_code":4008/, 20_000);
    } finally {
      clearInterval(timer);
    }
    await waitFor(async () => (await count(closes(4008))) === before + 1, { timeoutMs: 5000, what: "a close 4008" });
    await waitFor(async () => (await count("websocket_connections ")) === connections, {
      timeoutMs: 5000,
      what: "one less",
    });
    expect(await count("websocket_buffered_bytes")).toBe(0);
    bystander.send("ping", {});
    await bystander.next("pong");
    await bystander.close();
    slow.tcp.resume();
    await slow.until("the end of the connection", ({ ended, closed }) => ended || closed);
    slow.tcp.destroy();
  });

  test.concurrent("a peer that is silent is closed 4009, and dropped though it does not answer that", async () => {
    const before = await count(closes(4009));
    const connection = await opened();
    await connection.until("a ping", ({ received }) => received.includes("\x89\x00"));
    await connection.until("the close", ({ received }) => closeFrame(4009).test(received));
    await process.waitForLine(/"message":"connection closed.*"close_code":4009/, 1000);
    await connection.until("the end", ({ ended, closed }) => ended || closed);
    // What is written to a connection that is gone comes back as a reset.
    const timer = setInterval(() => connection.tcp.write("x"), 100);
    try {
      await connection.until("the connection to be dropped", ({ closed }) => closed);
    } finally {
      clearInterval(timer);
    }
    expect(await count(closes(4009))).toBe(before + 1);
  });

  test.each([
    ["nothing", [], undefined],
    ["the token alone", ["bearer.TOKEN"], undefined],
    ["the token and the protocol", ["bearer.TOKEN, im.v1.json"], "im.v1.json"],
    ["an unknown protocol", ["soap, bearer.TOKEN"], undefined],
  ])("the sub-protocol's answer to %s never holds the token", async (_name, offered, answered) => {
    const connection = await connectRaw(gateway);
    const headers = offered.map((value) => `sec-websocket-protocol: ${value.replace("TOKEN", user.accessToken)}`);
    connection.tcp.write(handshake(offered.length === 0 ? `/ws?token=${user.accessToken}` : "/ws", ...headers));
    await connection.until("connected", ({ received }) => received.includes('"connected"'));
    const [head = ""] = connection.received.split("\r\n\r\n");
    expect(/^sec-websocket-protocol: (.*)$/im.exec(head)?.[1]).toBe(answered);
    expect(head).not.toContain(user.accessToken);
    expect(head).not.toMatch(/^sec-websocket-extensions/im);
    connection.tcp.destroy();
  });

  test.each([
    ["a bad token", handshake("/ws?token=bad"), 401],
    ["another path", handshake("/wsx"), 404],
    ["a path with dots", handshake("/x/../ws"), 400],
    ["no key", handshake("/ws").replace(/sec-websocket-key.*\r\n/, ""), 400],
  ])("an upgrade with %s is refused, whatever the peer still sends", async (_name, head, status) => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(head);
    await connection.until("an answer", ({ received }) => received.startsWith(`HTTP/1.1 ${status} `));
    connection.tcp.write("{}".repeat(1000));
    await connection.until("the end", ({ ended, closed }) => ended || closed);
    expect(connection.received.split("\r\n\r\n")[0]).toMatch(/^connection: close$/im);
    connection.tcp.destroy();
  });

  test("an upgrade before the gateway is ready gets 503", async () => {
    const waiting = await start(`coordinator.endpoints=${await freeAddress()}`);
    await waitFor(() => fetch(`${waiting.gateway.http}/health`), { timeoutMs: 20_000, what: "/health" });
    const answer = await refusedUpgrade(`${waiting.gateway.ws}?token=${user.accessToken}`);
    expect(answer).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect((await waiting.process.stop()).code).toBe(0);
  });

  test.each([
    ["a .. segment", request("GET /api/v1/users/../users/me"), 400, "DOT_SEGMENT"],
    ["an encoded . segment", request("GET /api/v1/%2e/users/me"), 400, "DOT_SEGMENT"],
    ["an encoded .. segment", request("GET /api/v1/users/.%2E/users/me?x=/"), 400, "DOT_SEGMENT"],
    ["a .. segment after an empty one", request("GET /api/v1//../users/me"), 400, "DOT_SEGMENT"],
    ["a .. segment in a long path", request(`GET ${"/x/..".repeat(20)}/api/v1/users/me`), 400, "DOT_SEGMENT"],
    ["dots in the query", request("GET /api/v1/users/me?x=/../y"), 401, "TOKEN_MISSING"],
    ["an empty segment", request("GET /api/v1//users/me"), 404, "NO_ROUTE"],
    ["a slash at the end", request("GET /api/v1/users/me/"), 404, "NO_ROUTE"],
    ["a slash in an id, encoded", request("GET /api/v1/users/a%2Fb"), 401, "TOKEN_MISSING"],
    ["a % that encodes nothing", request("GET /api/v1/users/%zz"), 400, ""],
    ["no route", request("GET /nowhere"), 404, "NO_ROUTE"],
    ["the WebSocket's path without an upgrade", request("GET /ws"), 404, "NO_ROUTE"],
    [
      "another upgrade",
      `${request(login, "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AA", "content-length: 2")}{}`,
      400,
      "INVALID_FIELD",
    ],
    ["a method that the path has not", request("DELETE /api/v1/auth/login"), 405, ""],
    ["a body that is announced too large", request(login, "content-length: 1001"), 413, "BODY_TOO_LARGE"],
    [
      "a body that grows too large",
      `${request(login, "transfer-encoding: chunked")}3e9\r\n${"x".repeat(1001)}\r\n0\r\n\r\n`,
      413,
      "BODY_TOO_LARGE",
    ],
  ])("%s", async (_name, bytes, status, reason) => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(bytes);
    await connection.until("an answer", ({ received }) => received.includes("trace_id"));
    expect(connection.received).toContain(`HTTP/1.1 ${status} `);
    expect(connection.received).toContain(`"reason":"${reason}`);
    connection.tcp.destroy();
  });

  test.each([
    ["a backslash, which is no slash", request("GET /api/v1/users\\me"), /^HTTP\/1\.1 40[04] /],
    ["a host that is none", request("GET /health").replace("host: x", "host: x/y z"), /^HTTP\/1\.1 400 /],
    ["no host", request("GET /health").replace("host: x\r\n", ""), /^HTTP\/1\.1 400 /],
    ["no path", request("GET health"), /^HTTP\/1\.1 400 /],
    ["no HTTP", "hello\r\n\r\n", /^HTTP\/1\.1 400 /],
  ])("%s is refused", async (_name, bytes, answer) => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(bytes);
    await connection.until("an answer", ({ received }) => answer.test(received));
    connection.tcp.destroy();
  });

  test("after an answer the connection takes the next request, after 413 it ends", async () => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(`${request(login, "content-length: 2", "expect: 100-continue")}{}`);
    await connection.until("an answer", ({ received }) => received.includes('"field":"username"'));
    connection.tcp.write(request("HEAD /health"));
    await connection.until("a second one", ({ received }) => / 200 OK\r\n[\s\S]*\r\n\r\n$/.test(received));
    connection.tcp.write(request("GET /health"));
    await connection.until("a third one", ({ received }) => received.includes('"status":"ok"'));
    expect(connection.ended).toBe(false);
    connection.tcp.write(request(login, "content-length: 1001"));
    await connection.until("the end", ({ ended, closed }) => ended || closed);
    expect(connection.received).toMatch(/HTTP\/1\.1 413 [\s\S]*connection: close/i);
    connection.tcp.destroy();
  });

  test.concurrent("a body that drips ends at server.read_timeout, with 408", async () => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(request(login, "content-length: 900"));
    const startedMs = performance.now();
    const timer = setInterval(() => connection.tcp.write(" "), 100);
    try {
      await connection.until("the end", ({ ended, closed }) => ended || closed);
    } finally {
      clearInterval(timer);
    }
    expect(performance.now() - startedMs).toBeGreaterThan(1500);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(connection.received).toMatch(/^HTTP\/1\.1 408 /);
    connection.tcp.destroy();
  });

  test.concurrent("a head that drips ends", async () => {
    const connection = await connectRaw(gateway);
    connection.tcp.write("GET /health HTTP/1.1\r\nhost: x\r\nx-drip: ");
    const timer = setInterval(() => connection.tcp.write("x"), 100);
    try {
      await connection.until("the end", ({ ended, closed }) => ended || closed, 16_000);
    } finally {
      clearInterval(timer);
    }
    expect(connection.received).not.toContain("200");
    connection.tcp.destroy();
  });

  test.concurrent("a connection that is idle after an answer ends", async () => {
    const connection = await connectRaw(gateway);
    connection.tcp.write(request("GET /health"));
    await connection.until("an answer", ({ received }) => received.includes('"status":"ok"'));
    await connection.until("the end", ({ ended, closed }) => ended || closed);
    connection.tcp.destroy();
  });

  test.concurrent("a peer that answers pings, and says nothing else, lives on", async () => {
    const socket = new WebSocket(`${gateway.ws}?token=${user.accessToken}`);
    let pings = 0;
    socket.on("ping", () => {
      pings += 1;
    });
    await waitFor(() => pings === 3, { timeoutMs: 15_000, what: "three pings" });
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.terminate();
  });

  test("a stop says goodbye, ends what is idle, takes nothing new, and waits for what is under way", async () => {
    const other = await start();
    await other.process.waitForLine(/"message":"listening"/, 20_000);
    const socket = await connect(other.gateway, await register(other.gateway, "leaver"));
    const [idle, underWay] = [await connectRaw(other.gateway), await connectRaw(other.gateway)];
    idle.tcp.write(request("GET /health"));
    await idle.until("an answer", ({ received }) => received.includes('"status":"ok"'));
    underWay.tcp.write(`${request(login, "content-length: 2")}{`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const ended = other.process.stop();
    await socket.next("goaway");
    expect((await socket.closed).code).toBe(1012);
    await idle.until("the end", ({ ended, closed }) => ended || closed);
    await expect(fetch(`${other.gateway.http}/health`)).rejects.toThrow();
    underWay.tcp.write("}");
    await underWay.until("an answer", ({ received }) => received.includes('"field":"username"'));
    for (const { tcp } of [idle, underWay]) {
      tcp.destroy();
    }
    expect((await ended).code).toBe(0);
  });

  test("a stop waits for a reader that still has to read, and tells it why", async () => {
    const other = await start();
    await other.process.waitForLine(/"message":"listening"/, 20_000);
    const { accessToken } = await register(other.gateway, "reader");
    const connection = await connectRaw(other.gateway);
    connection.tcp.write(handshake(`/ws?token=${accessToken}`));
    await connection.until("connected", ({ received }) => received.includes('"connected"'));
    connection.tcp.pause();
    const pings = Buffer.concat(Array.from({ length: 100 }, () => ping("x".repeat(1000))));
    await waitFor(
      async () => {
        connection.tcp.write(pings);
        return (await count("websocket_buffered_bytes", other.gateway)) > 0;
      },
      { timeoutMs: 20_000, what: "bytes that wait", intervalMs: 5 },
    );
    const ended = other.process.stop();
    await other.process.waitForLine(/"message":"draining"/, 5000);
    connection.tcp.resume();
    await connection.until("the close", ({ received }) => closeFrame(1012).test(received));
    expect(connection.received).toContain('"goaway"');
    connection.tcp.destroy();
    expect((await ended).code).toBe(0);
  });

  test("a second signal ends at once, with 1", async () => {
    const other = await start();
    await other.process.waitForLine(/"message":"listening"/, 20_000);
    const underWay = await connectRaw(other.gateway);
    underWay.tcp.write(request(login, "content-length: 2"));
    await waitFor(() => fetch(`${other.gateway.http}/health`), { timeoutMs: 5000, what: "/health" });
    globalThis.process.kill(other.process.pid, "SIGTERM");
    await other.process.waitForLine(/"message":"draining"/, 5000);
    globalThis.process.kill(other.process.pid, "SIGTERM");
    expect((await other.process.exited).code).toBe(1);
    underWay.tcp.destroy();
  });

  test("a drain goes on when a back end asks for it again, and through one signal", async () => {
    const other = await start();
    await other.process.waitForLine(/"message":"listening"/, 20_000);
    const underWay = await connectRaw(other.gateway);
    underWay.tcp.write(`${request(login, "content-length: 2")}{`);
    await waitFor(() => fetch(`${other.gateway.http}/health`), { timeoutMs: 5000, what: "/health" });
    const askForDrain = async (): Promise<number> => {
      const headers = { "content-type": "application/json" };
      const url = `${other.gateway.internal}/internal/v1/drain`;
      return (await fetch(url, { method: "POST", headers, body: "{}" })).status;
    };
    expect(await askForDrain()).toBe(200);
    await other.process.waitForLine(/"message":"draining"/, 5000);
    expect(await askForDrain()).toBe(200);
    globalThis.process.kill(other.process.pid, "SIGTERM");
    expect(await askForDrain()).toBe(200);
    underWay.tcp.write("}");
    await underWay.until("an answer", ({ received }) => received.includes('"field":"username"'));
    underWay.tcp.destroy();
    expect((await other.process.exited).code).toBe(0);
  });

  test("messages flow", async () => {
    const [alice, bob] = [await register(gateway, "alice"), await register(gateway, "bob")];
    const conversationId = await direct(gateway, alice, bob);
    const [a, b] = [await connect(gateway, alice), await connect(gateway, bob)];
    const content = `${randomUUID()} ü€😀`;
    await a.say(conversationId, content);
    await b.next("new-message", ({ data }) => data.content === content);
    await Promise.all([a.close(), b.close()]);
  });
});
