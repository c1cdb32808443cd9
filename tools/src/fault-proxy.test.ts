// A server that answers in Kafka's framing, behind the proxy.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type FaultProxy, type FaultProxyOptions, startFaultProxy } from "./fault-proxy.ts";
import { waitFor } from "./wait-for.ts";

let server: Server | undefined;
let proxy: FaultProxy | undefined;
const sockets = new Set<Socket>();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  proxy?.close();
  server?.close();
});

/** Answers each request with its correlation id, in one piece with what else came. */
async function start(options?: FaultProxyOptions): Promise<FaultProxy> {
  const answering = createServer((socket) => {
    sockets.add(socket);
    let rest = Buffer.alloc(0);
    socket.on("data", (piece) => {
      rest = Buffer.concat([rest, piece]);
      const answers: Buffer[] = [];
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const answer = Buffer.alloc(8);
        answer.writeInt32BE(4, 0);
        rest.copy(answer, 4, 8, 12);
        answers.push(answer);
        rest = rest.subarray(4 + rest.readInt32BE(0));
      }
      socket.write(Buffer.concat(answers));
    });
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => answering.listen(0, "127.0.0.1", resolve));
  server = answering;
  proxy = await startFaultProxy((answering.address() as AddressInfo).port, options);
  return proxy;
}

interface Client {
  readonly socket: Socket;
  /** Correlation ids of the answers. */
  readonly answered: () => readonly number[];
  send(bytes: Buffer): void;
}

async function open({ port }: FaultProxy): Promise<Client> {
  const socket = connect(port, "127.0.0.1");
  sockets.add(socket);
  let bytes = Buffer.alloc(0);
  socket.on("data", (piece) => {
    bytes = Buffer.concat([bytes, piece]);
  });
  socket.on("error", () => socket.destroy());
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return {
    socket,
    answered: () =>
      Array.from({ length: Math.floor(bytes.length / 8) }, (_, index) => bytes.readInt32BE(index * 8 + 4)),
    send: (piece) => void socket.write(piece),
  };
}

function request(apiKey: number, correlationId: number, topic: string, padding = 0): Buffer {
  const bytes = Buffer.alloc(12 + topic.length + padding);
  bytes.writeInt32BE(bytes.length - 4, 0);
  bytes.writeInt16BE(apiKey, 4);
  bytes.writeInt32BE(correlationId, 8);
  bytes.write(topic, 12);
  return bytes;
}

async function until(condition: () => boolean): Promise<void> {
  await waitFor(condition, { timeoutMs: 5000, what: "the answers" });
}

test.each([
  ["in one piece", 1e9],
  ["byte by byte", 1],
  ["in pieces of 7", 7],
])("drops the one reply to a request that names the topic, requests %s", async (_how, size) => {
  const through = await start({ protocol: "kafka" });
  const [one, other] = [await open(through), await open(through)];
  const dropped = through.dropReply({ apiKey: 0, naming: "upstream" });
  // Neither another topic nor another kind of request; the last ones are longer than what is looked at.
  const bytes = Buffer.concat([
    request(0, 1, "other"),
    request(3, 2, "upstream", 5000),
    request(0, 3, "upstream", 5000),
  ]);
  for (let at = 0; at < bytes.length; at += size) {
    one.send(bytes.subarray(at, at + size));
    // A piece of its own on the wire.
    if (size < bytes.length && at < 100) await new Promise((resolve) => setImmediate(resolve));
  }
  await dropped;
  await until(() => one.socket.closed);
  expect(one.answered()).not.toContain(3);
  other.send(request(0, 4, "upstream"));
  await until(() => other.answered().includes(4));
});

test("delays both ways", async () => {
  const through = await start();
  const client = await open(through);
  through.delay(150);
  const startedMs = performance.now();
  client.send(request(0, 1, "t"));
  await until(() => client.answered().length === 1);
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(295);
});

test("resets open connections and takes new ones; cut, it takes none", async () => {
  const through = await start();
  const client = await open(through);
  client.send(request(0, 1, "t"));
  await until(() => client.answered().length === 1);
  through.reset();
  await until(() => client.socket.closed);
  const next = await open(through);
  next.send(request(0, 2, "t"));
  await until(() => next.answered().length === 1);
  through.cut();
  await until(() => next.socket.closed);
  const refused = await open(through);
  await until(() => refused.socket.closed);
  through.mend();
  const last = await open(through);
  last.send(request(0, 3, "t"));
  await until(() => last.answered().length === 1);
});

test.each([["all"], ["answers"]] as const)("swallows %s of the connections that are open", async (what) => {
  const through = await start();
  const client = await open(through);
  through.swallow(what);
  client.send(request(0, 1, "t"));
  const next = await open(through);
  next.send(request(0, 2, "t"));
  await until(() => next.answered().length === 1);
  expect(client.answered()).toEqual([]);
  expect(client.socket.closed).toBe(false);
});
