// A WebSocket spoken by hand (RFC 6455), for what no client library would send.
import { randomBytes } from "node:crypto";
import { waitFor } from "@im-gateway/tools/process";
import { asRecord, type Frame } from "./client.ts";
import { openWire, parseAnswer } from "./exchange.ts";
import type { GatewayAddress } from "./world.ts";

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface WireFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Default: the last fragment, masked, no reserved bit. */
  readonly last?: boolean;
  readonly masked?: boolean;
  readonly reserved?: number;
}

export interface WireSocket {
  send(frame: WireFrame): void;
  /** The first frame of the contract, past or future, that fits; fails after 5 s. */
  next(type: string): Promise<Frame>;
  /** The code of the close frame that the server sent; it is not answered. */
  closeCode(): Promise<number>;
  /** The server has closed the connection, or has sent a close frame. */
  ended(): Promise<unknown>;
  destroy(): void;
}

/** Opens an authenticated one. */
export async function openWireSocket(gateway: GatewayAddress, token: string): Promise<WireSocket> {
  const wire = await openWire(gateway.http);
  wire.write(
    [
      `GET /ws?token=${token} HTTP/1.1`,
      "Host: x",
      "Connection: upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      "",
      "",
    ].join("\r\n"),
  );
  const end = "\r\n\r\n";
  await waitFor(() => wire.received().includes(end), { timeoutMs: 5000, what: "an answer to the upgrade" });
  const { status } = parseAnswer(wire.received());
  if (status !== 101) {
    throw new Error(`the upgrade was answered ${status}`);
  }
  const frames = (): readonly WireFrame[] => readFrames(wire.received().subarray(wire.received().indexOf(end) + 4));
  const closeCode = async (): Promise<number> => {
    const { payload } = await waitFor(() => frames().find(({ opcode }) => opcode === opcodes.close), {
      timeoutMs: 5000,
      what: "a close frame",
    });
    return Buffer.from(payload).readUInt16BE(0);
  };
  return {
    send: (frame) => wire.write(encode(frame)),
    async next(type) {
      const find = (): Frame | undefined =>
        frames()
          .filter(({ opcode }) => opcode === opcodes.text)
          .map(({ payload }) => asRecord(JSON.parse(Buffer.from(payload).toString())))
          .map((frame) => ({
            type: String(frame.type),
            message_id: String(frame.message_id),
            data: asRecord(frame.data),
            timestamp: Number(frame.timestamp),
          }))
          .find((frame) => frame.type === type);
      return waitFor(find, { timeoutMs: 5000, what: `a ${type} frame` });
    },
    closeCode,
    ended: () => Promise.race([wire.closed, closeCode()]).finally(wire.destroy),
    destroy: wire.destroy,
  };
}

function encode({ opcode, payload, last = true, masked = true, reserved = 0 }: WireFrame): Buffer {
  const first = (last ? 0x80 : 0) | (reserved << 4) | opcode;
  const maskBit = masked ? 0x80 : 0;
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([first, maskBit | length])
      : length < 65_536
        ? Buffer.from([first, maskBit | 126, length >> 8, length & 0xff])
        : Buffer.from([first, maskBit | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (length >> shift) & 0xff)]);
  if (!masked) {
    return Buffer.concat([head, payload]);
  }
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))]);
}

/** Those of a server are not masked. */
function readFrames(bytes: Buffer): readonly WireFrame[] {
  const frames: WireFrame[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const short = bytes.readUInt8(at + 1) & 0x7f;
    const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
    if (bytes.length < start) {
      break;
    }
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
    if (bytes.length < start + length) {
      break;
    }
    frames.push({ opcode: bytes.readUInt8(at) & 0x0f, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}
