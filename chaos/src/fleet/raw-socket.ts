// One client's WebSocket over raw TCP, as cheap as it can be: thousands of them live in one process beside what they load.
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/** How it ended. */
export interface SocketEnd {
  /** The server's close code; 1006 where there was none. */
  readonly code: number;
  /** The HTTP status that refused the upgrade. */
  readonly status?: number;
  /** Nobody listens there. */
  readonly refused: boolean;
}

export interface RawSocketOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly token: string;
  readonly onText: (text: string) => void;
  /** Once, whatever ends it; not after `destroy`. */
  readonly onEnd: (end: SocketEnd) => void;
}

const opcodeText = 1;
const opcodeClose = 8;
const opcodePing = 9;
const abnormal = 1006;
const readBufferBytes = 256 * 1024;
/** One for all: a read is handled before the next begins. */
const readBuffer = Buffer.alloc(readBufferBytes);

/** A class with private fields, not a closure: there are thousands. */
export class RawSocket {
  readonly #options: RawSocketOptions;
  readonly #tcp: Socket;
  #handshake: string | undefined = "";
  /** The beginning of a frame whose end has not come. */
  #rest: Buffer | undefined;
  #code = abnormal;
  #status: number | undefined;
  #refused = false;
  #ended = false;

  constructor(options: RawSocketOptions) {
    this.#options = options;
    const onread = { buffer: readBuffer, callback: (count: number): boolean => this.#read(count) };
    this.#tcp = connect({ host: "127.0.0.1", port: options.port, noDelay: true, onread });
    this.#tcp.on("error", (error: NodeJS.ErrnoException) => {
      this.#refused = error.code === "ECONNREFUSED";
    });
    this.#tcp.on("close", () => this.#end());
    this.#tcp.write(
      `GET /ws?token=${options.token} HTTP/1.1\r\nHost: 127.0.0.1:${options.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
    );
  }

  send(text: string): void {
    this.#tcp.write(clientFrame(opcodeText, Buffer.from(text)));
  }

  /** The kernel's buffers fill up, then the server's. */
  stopReading(): void {
    this.#tcp.pause();
  }

  /** Cut, without a word. */
  destroy(): void {
    this.#ended = true;
    this.#tcp.resetAndDestroy();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const status = this.#status === undefined ? {} : { status: this.#status };
    this.#options.onEnd({ code: this.#code, refused: this.#refused, ...status });
  }

  #read(count: number): boolean {
    if (this.#ended) return true;
    let chunk: Buffer = readBuffer.subarray(0, count);
    if (this.#handshake !== undefined) {
      const before = this.#handshake.length;
      this.#handshake += chunk.toString("latin1");
      const end = this.#handshake.indexOf("\r\n\r\n");
      if (end === -1) return true;
      const status = Number(this.#handshake.slice(9, 12));
      if (status !== 101) {
        this.#status = status;
        this.#tcp.destroy();
        return true;
      }
      chunk = chunk.subarray(end + 4 - before);
      this.#handshake = undefined;
    }
    if (this.#rest !== undefined) chunk = Buffer.concat([this.#rest, chunk]);
    const used = this.#frames(chunk);
    // The read buffer is another socket's in a moment.
    this.#rest = used === chunk.length ? undefined : Buffer.from(chunk.subarray(used));
    return true;
  }

  /** @returns how many bytes were whole frames */
  #frames(bytes: Buffer): number {
    let at = 0;
    while (!this.#ended && at + 2 <= bytes.length) {
      const short = bytes.readUInt8(at + 1) & 0x7f;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (at + header > bytes.length) break;
      const length =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
      if (at + header + length > bytes.length) break;
      this.#frame(bytes.readUInt8(at) & 0x0f, bytes.subarray(at + header, at + header + length));
      at += header + length;
    }
    return at;
  }

  #frame(opcode: number, payload: Buffer): void {
    if (opcode === opcodeText) {
      this.#options.onText(payload.toString());
    } else if (opcode === opcodePing) {
      this.#tcp.write(clientFrame(10, payload));
    } else if (opcode === opcodeClose) {
      this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#tcp.end(clientFrame(opcodeClose, payload.subarray(0, 2)));
      this.#end();
    }
  }
}

/** Masked with zeros (RFC 6455 §5.3 asks for a mask, not for a good one). */
function clientFrame(opcode: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(payload.length < 126 ? 6 : 8);
  header[0] = 0x80 | opcode;
  if (payload.length < 126) {
    header[1] = 0x80 | payload.length;
  } else {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(payload.length, 2);
  }
  return Buffer.concat([header, payload]);
}
