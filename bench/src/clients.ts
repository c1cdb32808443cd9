// The load generator: WebSocket clients over raw TCP that look at no more of a frame than its length and the first letter of its type.
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface ClientsOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Access tokens, one a client. */
  readonly tokens: readonly string[];
  /** How long connecting, and each `receive`, may take. */
  readonly timeoutMs: number;
}

/** Types of server frames that are counted, told apart by their first letters. */
export type FrameType = "connected" | "new-message" | "message-ack";

export interface Clients {
  readonly size: number;
  /** One frame, masked, as `numberedFrames` makes them. */
  send(client: number, frame: Buffer): void;
  /**
   * Resolves when so many frames of the type have come since the call, to all clients together. Rejects when any other frame comes, a
   * connection ends, or time runs out. One at a time.
   */
  receive(type: FrameType, count: number, onEach?: (client: number) => void): Promise<void>;
  /** Bytes of text frames' payload since the start. */
  readonly payloadBytes: number;
  close(): void;
}

const opcodeText = 1;
const opcodeClose = 8;
const opcodePing = 9;
const pong: Buffer = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
/** Where the type's first letter stands in `{"type":"new-message",…`: both servers write the type first, or the run fails. */
const letterOffset = '{"type":"'.length;
const connectingAtOnce = 50;
const readBufferBytes = 256 * 1024;

interface Awaited {
  readonly letter: number;
  remaining: number;
  readonly onEach: ((client: number) => void) | undefined;
  readonly done: (error?: Error) => void;
}

/** Resolves when every client has its `connected` frame. */
export async function connectClients({ port, tokens, timeoutMs }: ClientsOptions): Promise<Clients> {
  // One for all: a read is handled before the next begins.
  const buffer = Buffer.alloc(readBufferBytes);
  const sockets: Socket[] = [];
  let awaited: Awaited | undefined;
  let payloadBytes = 0;
  let lost: Error | undefined;

  const fail = (error: Error): void => {
    lost ??= error;
    awaited?.done(lost);
  };

  const receive = (type: FrameType, count: number, onEach?: (client: number) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const done = (error?: Error): void => {
        clearTimeout(timer);
        awaited = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
      const expected = { letter: type.charCodeAt(0), remaining: count, onEach, done };
      const timer = setTimeout(
        () => fail(new Error(`${expected.remaining} of ${count} ${type} frames had not come after ${timeoutMs} ms`)),
        timeoutMs,
      );
      awaited = expected;
      if (lost !== undefined) done(lost);
    });

  const onFrame = (client: number, opcode: number, letter: number, bytes: number): void => {
    if (opcode === opcodePing) {
      sockets[client]?.write(pong);
      return;
    }
    if (opcode === opcodeClose) {
      fail(new Error(`client ${client} was closed by the server`));
      return;
    }
    payloadBytes += bytes;
    if (opcode !== opcodeText || letter !== awaited?.letter) {
      fail(
        new Error(`client ${client} got a frame that starts with "${String.fromCharCode(letter)}", not the expected`),
      );
      return;
    }
    awaited.remaining -= 1;
    awaited.onEach?.(client);
    if (awaited?.remaining === 0) awaited.done();
  };

  const open = (client: number, token: string): Promise<void> =>
    new Promise((resolve, reject) => {
      let handshake = "";
      let upgraded = false;
      const read = frameReader((opcode, letter, bytes) => onFrame(client, opcode, letter, bytes));
      const onread = {
        buffer,
        callback: (count: number, chunk: Uint8Array): boolean => {
          if (upgraded) {
            read(chunk, 0, count);
            return true;
          }
          const before = handshake.length;
          handshake += Buffer.from(chunk.buffer, chunk.byteOffset, count).toString("latin1");
          const end = handshake.indexOf("\r\n\r\n");
          if (end === -1) return true;
          if (!handshake.startsWith("HTTP/1.1 101")) {
            reject(new Error(`the server refused a client: ${handshake.slice(0, 300)}`));
            return true;
          }
          upgraded = true;
          resolve();
          read(chunk, end + 4 - before, count);
          return true;
        },
      };
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
      sockets[client] = socket;
      socket.on("error", (error) => {
        reject(error);
        fail(error);
      });
      socket.on("end", () => fail(new Error(`client ${client} was disconnected`)));
      socket.write(
        `GET /ws?token=${token} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
      );
    });

  const close = (): void => {
    for (const socket of sockets) socket.destroy();
  };

  try {
    const connected = receive("connected", tokens.length);
    for (let first = 0; first < tokens.length; first += connectingAtOnce) {
      const some = tokens.slice(first, first + connectingAtOnce);
      await Promise.race([Promise.all(some.map((token, index) => open(first + index, token))), connected]);
    }
    await connected;
  } catch (error) {
    close();
    throw error;
  }

  return {
    size: tokens.length,
    send: (client, frame) => void sockets[client]?.write(frame),
    receive,
    get payloadBytes() {
      return payloadBytes;
    },
    close,
  };
}

/** Cuts a server's bytes into frames; `onFrame` gets the opcode, the letter of the type (0 without one) and the payload's length. */
function frameReader(
  onFrame: (opcode: number, letter: number, bytes: number) => void,
): (chunk: Uint8Array, from: number, to: number) => void {
  const header = new Uint8Array(10);
  let headerBytes = 0;
  let payload = 0;
  let seen = 0;
  let letter = 0;

  return (chunk, from, to) => {
    let at = from;
    while (at < to) {
      if (headerBytes < 2 || headerBytes < headerSize(header)) {
        header[headerBytes] = chunk[at] ?? 0;
        headerBytes += 1;
        at += 1;
        if (headerBytes < 2 || headerBytes < headerSize(header)) continue;
        payload = payloadSize(header);
        seen = 0;
        letter = 0;
      }
      const taken = Math.min(payload - seen, to - at);
      if (seen <= letterOffset && letterOffset < seen + taken) letter = chunk[at + letterOffset - seen] ?? 0;
      seen += taken;
      at += taken;
      if (seen < payload) return;
      headerBytes = 0;
      onFrame((header[0] ?? 0) & 0x0f, letter, payload);
    }
  };
}

/** RFC 6455 §5.2, of an unmasked frame. */
function headerSize(header: Uint8Array): number {
  const length = header[1] ?? 0;
  return length < 126 ? 2 : length === 126 ? 4 : 10;
}

function payloadSize(header: Uint8Array): number {
  const view = new DataView(header.buffer);
  const length = view.getUint8(1);
  return length < 126 ? length : length === 126 ? view.getUint16(2) : Number(view.getBigUint64(2));
}

/**
 * Makes a client's text frames that differ only in a number, masked as RFC 6455 §5.3 wants it: to mask each anew would cost more than all else
 * here.
 * @param text between 126 and 65,535 bytes
 * @param slot is in the text once and ends in zeros, which the number replaces from the right
 */
export function numberedFrames(text: string, slot: string): (number: number) => Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const header = Buffer.alloc(8);
  header[0] = 0x80 | opcodeText;
  header[1] = 0x80 | 126;
  header.writeUInt16BE(payload.length, 2);
  mask.copy(header, 4);
  const masked = payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0));
  const template = Buffer.concat([header, masked]);
  const slotEnd = payload.indexOf(slot) + slot.length;
  return (number) => {
    const frame = Buffer.from(template);
    for (let rest = number, index = slotEnd - 1; rest > 0; rest = Math.floor(rest / 10), index -= 1) {
      frame[header.length + index] = (0x30 + (rest % 10)) ^ (mask[index & 3] ?? 0);
    }
    return frame;
  };
}
