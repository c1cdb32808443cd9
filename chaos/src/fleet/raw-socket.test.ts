// The raw sockets against a real WebSocket server.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { RawSocket, type SocketEnd } from "./raw-socket.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Connected {
  readonly raw: RawSocket;
  readonly texts: string[];
  readonly ended: SocketEnd[];
  readonly server: WebSocket;
}

async function connected(): Promise<Connected> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  ends.push(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const texts: string[] = [];
  const ended: SocketEnd[] = [];
  const raw = new RawSocket({ port, token: "t", onText: (text) => texts.push(text), onEnd: (end) => ended.push(end) });
  ends.push(() => raw.destroy());
  const [socket]: WebSocket[] = await once(server, "connection");
  if (socket === undefined) throw new Error("no socket");
  return { raw, texts, ended, server: socket };
}

test("texts of every length go both ways, also cut in pieces", async () => {
  const { raw, texts, server } = await connected();
  const heard: string[] = [];
  server.on("message", (data) => heard.push(data.toString()));
  const lengths = [0, 1, 125, 126, 65_535, 65_536, 700_000];
  for (const length of lengths) server.send("ü".repeat(length));
  for (const length of [0, 125, 126, 20_000]) raw.send("ü".repeat(length));
  await expect.poll(() => texts.map((text) => text.length)).toEqual(lengths);
  await expect.poll(() => heard.map((text) => text.length)).toEqual([0, 125, 126, 20_000]);
});

test("a ping is answered, and the code of a close is told once", async () => {
  const { server, ended } = await connected();
  const answered = once(server, "pong");
  server.ping("p");
  expect(String((await answered)[0])).toBe("p");
  server.close(4008, "slow");
  await once(server, "close");
  await expect.poll(() => ended).toEqual([{ code: 4008, refused: false }]);
});

test("what is cut without a word is 1006", async () => {
  const { server, ended } = await connected();
  server.terminate();
  await expect.poll(() => ended).toEqual([{ code: 1006, refused: false }]);
});

test("one that stops reading fills the server's buffer, and learns of nothing", async () => {
  const { raw, server, texts } = await connected();
  raw.stopReading();
  const filling = "x".repeat(1_000_000);
  for (let n = 0; n < 20; n += 1) server.send(filling);
  await expect.poll(() => server.bufferedAmount).toBeGreaterThan(1_000_000);
  expect(texts).toEqual([]);
});

test.each([
  ["a refused upgrade", 503, { code: 1006, refused: false, status: 503 }],
  ["nobody there", undefined, { code: 1006, refused: true }],
])("%s is told apart", async (_name, status, end) => {
  const server = createServer();
  server.on("upgrade", (_request, tcp) => tcp.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  if (status === undefined) server.close();
  else ends.push(() => server.close());
  const ended: SocketEnd[] = [];
  const raw = new RawSocket({ port, token: "t", onText() {}, onEnd: (one) => ended.push(one) });
  ends.push(() => raw.destroy());
  await expect.poll(() => ended).toEqual([end]);
});
