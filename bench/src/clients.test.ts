// The load generator counts what a real WebSocket server sends, whole or in pieces, and nothing else.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { type Clients, connectClients, numberedFrames } from "./clients.ts";

let server: WebSocketServer;
let sockets: Map<string, WebSocket>;
let clients: Clients;

beforeEach(async () => {
  sockets = new Map();
  server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket, request) => {
    sockets.set(new URL(request.url ?? "/", "ws://localhost").searchParams.get("token") ?? "", socket);
    socket.send('{"type":"connected"}');
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  clients = await connectClients({ port, tokens: ["a", "b"], timeoutMs: 3000 });
});

afterEach(() => {
  clients.close();
  for (const socket of sockets.values()) socket.terminate();
  server.close();
});

function socketOf(token: string): WebSocket {
  const socket = sockets.get(token);
  if (socket === undefined) throw new Error(`no socket ${token}`);
  return socket;
}

function message(length: number): string {
  return JSON.stringify({ type: "new-message", content: "x".repeat(length) });
}

test("frames of every size are counted once, also where reads cut them", async () => {
  const lengths = [0, 80, 100, 1000, 70_000, 1_000_000];
  const from: number[] = [];
  const received = clients.receive("new-message", 2 * lengths.length, (client) => from.push(client));
  const before = clients.payloadBytes;
  for (const length of lengths) for (const token of ["a", "b"]) socketOf(token).send(message(length));
  await received;
  expect(from.toSorted()).toEqual([...lengths.map(() => 0), ...lengths.map(() => 1)]);
  expect(clients.payloadBytes - before).toBe(2 * lengths.reduce((sum, length) => sum + message(length).length, 0));
});

test("a ping is answered and not counted", async () => {
  const socket = socketOf("a");
  const pong = once(socket, "pong");
  socket.ping();
  await pong;
  const received = clients.receive("new-message", 1);
  socket.send(message(1));
  await received;
});

test.each([
  ["another frame", (socket: WebSocket) => socket.send('{"type":"error"}'), 'starts with "e"'],
  ["a close", (socket: WebSocket) => socket.close(4008), "closed by the server"],
  ["the connection's end", (socket: WebSocket) => socket.terminate(), /disconnected|ECONNRESET/],
])("%s fails what is waited for", async (_name, act, error) => {
  const received = clients.receive("new-message", 1);
  act(socketOf("b"));
  await expect(received).rejects.toThrow(error);
});

test("a refused client fails the connecting", async () => {
  const refusing = new WebSocketServer({ host: "127.0.0.1", port: 0, verifyClient: () => false });
  await once(refusing, "listening");
  const { port } = refusing.address() as AddressInfo;
  await expect(connectClients({ port, tokens: ["a"], timeoutMs: 3000 })).rejects.toThrow("401");
  refusing.close();
});

test("numbered frames arrive as text with the number in its place", async () => {
  const frame = numberedFrames(JSON.stringify({ id: "id-00000000", content: "x".repeat(200) }), "id-00000000");
  const texts: string[] = [];
  const socket = socketOf("a");
  socket.on("message", (data) => texts.push(String(data)));
  for (const number of [7, 1234]) clients.send(0, frame(number));
  await expect.poll(() => texts.map((text) => JSON.parse(text).id)).toEqual(["id-00000007", "id-00001234"]);
});
