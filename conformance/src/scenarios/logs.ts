// What clients write is in no log, whatever they write and wherever they write it; and no client can fill a log.
import { randomUUID } from "node:crypto";
import { connect as connectTcp } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type ChatSocket, connect, openSocket, refusedUpgrade, register, rest } from "../client.ts";
import { contentMark, keepSecret, leaksIn, type OutputLine, recordedLines, secretCount } from "../output.ts";
import type { GatewayAddress, World } from "../world.ts";

/** A second line, colours, a cleared screen, C1, line separators and text that runs backwards. */
const hostile =
  '\n{"level":"error","message":"forged"}\r\n\u001b[31m\u001b[2J\u009b31m\u0000\u007f\u0085\u2028\u2029\u202e';

const controls = /[\p{Cc}\u2028\u2029\u202e]/u;

/** More than any log should say of them within ten seconds. */
const refusedMessages = 500;

export function logScenarios(world: () => World): void {
  describe("logs", () => {
    test("hostile input of every kind", () => sayHostileThings(world().gateways[0]), 30_000);

    test("a refusal that is provoked again and again is written now and then, and all of them are counted", async () => {
      const gateway = world().gateways[0];
      const socket = await connect(gateway, await register(gateway, "flooder"));
      const conversationId = randomUUID();
      for (let n = 0; n < refusedMessages; n++) {
        socket.send("send-message", {
          conversation_id: conversationId,
          message_type: 1,
          content: "let me in",
          client_msg_id: randomUUID(),
        });
      }
      await waitFor(() => socket.frames.filter(({ type }) => type === "error").length === refusedMessages, {
        timeoutMs: 15_000,
        what: "every refusal",
      });
      const lines = await accountedLines(
        (line) => line.message === "a message was refused" && line.conversation_id === conversationId,
        refusedMessages,
      );
      // The first ten of two windows, and what was held at their ends.
      expect(lines.length).toBeLessThanOrEqual(22);
      expect(lines[0]).toMatchObject({
        level: "info",
        module: "im-logic",
        user_id: expect.stringMatching(/./),
        trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
        error: { code: "not_found", reason: "CONVERSATION_NOT_FOUND" },
      });
      await socket.close();
    }, 60_000);
  });
}

/** The log lines that fit, once they stand for so many events: each for itself and for those that it says were suppressed. */
export async function accountedLines(
  fits: (line: Readonly<Record<string, unknown>>) => boolean,
  events: number,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const find = (): readonly Readonly<Record<string, unknown>>[] =>
    recordedLines()
      .filter(({ stream, line }) => stream === "stdout" && line.startsWith("{"))
      .map(({ line }): Readonly<Record<string, unknown>> => JSON.parse(line))
      .filter(fits);
  const standFor = (): number => find().reduce((sum, { suppressed = 0 }) => sum + 1 + Number(suppressed), 0);
  await waitFor(() => standFor() >= events, { timeoutMs: 20_000, what: `log lines that stand for ${events} events` });
  expect(standFor()).toBe(events);
  return find();
}

/** After the programs have ended. */
export function expectCleanLogs(): void {
  const recorded = recordedLines();
  expect(secretCount()).toBeGreaterThan(100);
  expect(leaksIn(recorded)).toEqual([]);
  expect(recorded.filter(({ line }) => controls.test(line))).toEqual([]);
  const logged = recorded.filter(({ stream }) => stream === "stdout");
  expect(logged.filter(({ line, process }) => !isLogLine(line, process))).toEqual([]);
  // They are the logs of whole lives, at level debug, of what was refused too.
  for (const found of ["listening", "draining", "ended", "call failed", "a message was refused"]) {
    expect(logged.some(({ line }) => line.includes(`"message":"${found}"`))).toBe(true);
  }
  for (const found of ['"level":"debug"', '"trace_id":"', '"user_id":"', '"close_code":4500', "forged"]) {
    expect(logged.some(({ line }) => line.includes(found))).toBe(true);
  }
}

/** The same of a program that writes for people. */
export function expectCleanPrettyLines(recorded: readonly OutputLine[]): void {
  expect(leaksIn(recorded)).toEqual([]);
  expect(recorded.filter(({ line }) => controls.test(line))).toEqual([]);
  const logged = recorded.filter(({ stream }) => stream === "stdout").map(({ line }) => line);
  expect(logged.filter((line) => !/^\d\d:\d\d:\d\d\.\d{3} (?:DEBUG|INFO |WARN |ERROR) [\w-]+: /.test(line))).toEqual(
    [],
  );
  expect(logged.some((line) => line.includes("forged"))).toBe(true);
}

/** CONTRACT §7, in its order. */
function isLogLine(line: string, process: string): boolean {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return false;
  }
  const keys = typeof parsed === "object" && parsed !== null ? Object.keys(parsed) : [];
  const id = process === "im-logic" ? "logic_id" : "gateway_id";
  return (
    ["level", "module", "message", id, "timestamp"].every((name, index) => keys[index] === name) &&
    /^\{"level":"(?:debug|info|warn|error)","module":"[\w-]+","message":"[^"]/.test(line) &&
    /"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/.test(line)
  );
}

/** Secrets and control characters wherever a client can put them, most of all where they are refused. */
export async function sayHostileThings(gateway: GatewayAddress): Promise<void> {
  const canary = `canary-${randomUUID()}`;
  keepSecret("what was refused", canary);
  const user = await register(gateway, "hostile");
  const { accessToken: token } = user;

  await refuseUpgrades(gateway, canary, token);
  const badBodies = [
    `{"username":"${user.username}","password":"${canary}`,
    `{"username":"${user.username}","password":{"${canary}":["${canary}"]}}`,
    `{"username":"${user.username}","password":["${canary}"],"${canary}":1}`,
    `{"username":"${user.username}","password":"${canary}","password":"${canary}"}`,
    JSON.stringify({ username: hostile, password: canary + hostile }),
    JSON.stringify({ username: user.username, password: canary, [hostile + canary]: hostile }),
    `${canary}\u0000`,
  ];
  for (const body of badBodies) {
    for (const path of ["/auth/login", "/auth/register", "/auth/refresh", "/messages", "/users/me"]) {
      const response = await fetch(`${gateway.http}/api/v1${path}`, {
        method: path === "/users/me" ? "PATCH" : "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body,
      });
      expect([400, 401]).toContain(response.status);
    }
  }
  const odd = encodeURIComponent(hostile + canary);
  for (const path of [`/users/me?token=${odd}`, `/conversations/${odd}/messages`, `/${odd}`, `/users/%zz${odd}`]) {
    const answer = await rest(gateway, "GET", path, { token });
    expect([400, 404]).toContain(answer.status);
  }
  expect((await rest(gateway, "GET", "/users/me", { token: `${token}${canary}` })).status).toBe(401);
  expect((await rest(gateway, "GET", "/users/me", { token: canary.repeat(250) })).status).toBe(401);

  const unknown = openSocket(gateway.ws);
  await unknown.opened;
  unknown.send("auth", { token: canary });
  expect((await unknown.closed).code).toBe(4501);

  await sendBadFrames(await connect(gateway, user), canary);
  // im-logic refuses this conversation, and says in its log which it was.
  const socket = await connect(gateway, user);
  const clientMsgId = await socket.say(`c${hostile}`, "into the dark");
  await socket.next("error", ({ data }) => data.client_msg_id === clientMsgId);
  await socket.close();
  await closeWith(gateway, token, hostile.slice(0, 60) + contentMark);
}

async function refuseUpgrades(gateway: GatewayAddress, canary: string, token: string): Promise<void> {
  const [head = "", , signature = ""] = token.split(".");
  const forged = `${head}.${Buffer.from(JSON.stringify({ sub: canary + hostile })).toString("base64url")}.${signature}`;
  const critical = Buffer.from(JSON.stringify({ alg: "HS256", crit: [canary + hostile], [canary]: 1 }));
  const bad = [canary, forged, `${critical.toString("base64url")}.e30.${signature}`, canary.repeat(250)];
  for (const one of bad) {
    expect((await refusedUpgrade(`${gateway.ws}?token=${one}`)).status).toBe(401);
    expect((await refusedUpgrade(gateway.ws, { authorization: `Bearer ${one}` })).status).toBe(401);
  }
  const headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
  const protocol = `Sec-WebSocket-Protocol: im.v1.json, bearer.${canary}`;
  for (const more of [
    [protocol, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", `User-Agent: x\u009b31m${canary}`],
    [`Authorization: Bearer ${token}`, `Sec-WebSocket-Key: ${canary}`],
    [`Authorization: Bearer ${token}`, `Sec-WebSocket-Extensions: ${canary}`, `X: \u001b[31m${canary}`],
  ]) {
    const request = [`GET /ws?${canary} HTTP/1.1`, "Host: gateway", ...headers, ...more, "", ""].join("\r\n");
    expect(await rawRequest(gateway, request)).toMatch(/^HTTP\/1\.1 40[01] /);
  }
}

async function rawRequest(gateway: GatewayAddress, request: string): Promise<string> {
  const { hostname, port } = new URL(gateway.http);
  const tcp = connectTcp(Number(port), hostname);
  tcp.end(request, "latin1");
  return readAll(tcp);
}

async function sendBadFrames(socket: ChatSocket, canary: string): Promise<void> {
  const message = { conversation_id: `c${hostile}`, message_type: 1, content: canary, client_msg_id: canary };
  const frames = [
    `{"type":"send-message","data":{"content":"${canary}`,
    JSON.stringify({ type: canary + hostile, message_id: hostile, data: { content: canary } }),
    JSON.stringify({ type: "send-message", message_id: canary + hostile, data: { ...message, content: [canary] } }),
    JSON.stringify({ type: "send-message", data: { ...message, message_type: canary } }),
    JSON.stringify({ type: "send-message", data: { ...message, message_type: 0, [canary]: canary } }),
    JSON.stringify({ type: "call", data: { method: hostile + canary, request: { [canary]: hostile } } }),
    JSON.stringify({ type: "call", data: { method: "im.logic.v1.UserService/GetMe", request: { [canary]: hostile } } }),
    JSON.stringify({ type: "mark-read", data: { conversation_id: hostile + canary, seq_id: canary } }),
    JSON.stringify({ type: "mark-read", data: { conversation_id: hostile + canary, seq_id: 1 } }),
  ];
  for (const [index, text] of frames.entries()) {
    socket.sendText(text);
    await waitFor(() => socket.frames.filter(({ type }) => type === "error").length > index, {
      timeoutMs: 5000,
      what: `an error to ${text}`,
    });
  }
  for (let n = 0; n < 11; n++) {
    socket.sendText(`{"${canary}`);
  }
  expect((await socket.closed).code).toBe(4500);
}

async function closeWith(gateway: GatewayAddress, token: string, reason: string): Promise<void> {
  const webSocket = new WebSocket(`${gateway.ws}?token=${token}`);
  const closed = new Promise((resolve) => webSocket.once("close", resolve));
  await new Promise((resolve) => webSocket.once("open", resolve));
  webSocket.close(4000, reason);
  await closed;
}
