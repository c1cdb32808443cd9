// A TCP connection to a gateway on which a test says each byte itself.
import { connect, type Socket } from "node:net";
import { waitFor } from "@im-gateway/tools/process";
import type { GatewayAddress } from "./world.ts";

export interface RawConnection {
  readonly tcp: Socket;
  /** What came so far, a character a byte. */
  readonly received: string;
  /** In how many pieces it came. */
  readonly pieces: number;
  /** The other side has said that it sends no more. */
  readonly ended: boolean;
  /** The connection is gone. */
  readonly closed: boolean;
  /** Waits for what comes; fails after `timeoutMs`, 10 s by default. */
  until(what: string, fits: (connection: RawConnection) => boolean, timeoutMs?: number): Promise<void>;
}

/** This side never ends the connection by itself. */
export async function connectRaw(gateway: GatewayAddress): Promise<RawConnection> {
  const { hostname, port } = new URL(gateway.http);
  const tcp = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let [received, pieces, ended, closed] = ["", 0, false, false];
  tcp.on("data", (chunk) => {
    received += chunk.toString("latin1");
    pieces += 1;
  });
  tcp.on("end", () => {
    ended = true;
  });
  tcp.on("close", () => {
    closed = true;
  });
  // `closed` follows.
  tcp.on("error", () => undefined);
  await new Promise<void>((resolve) => tcp.once("connect", resolve));
  const connection: RawConnection = {
    tcp,
    get received() {
      return received;
    },
    get pieces() {
      return pieces;
    },
    get ended() {
      return ended;
    },
    get closed() {
      return closed;
    },
    until: async (what, fits, timeoutMs = 10_000) => {
      await waitFor(() => fits(connection), { timeoutMs, what: `${what}; came: ${received.slice(-500)}` });
    },
  };
  return connection;
}

/** The request of an upgrade. @param more header lines */
export function handshake(path: string, ...more: readonly string[]): string {
  return request(
    `GET ${path}`,
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ...more,
  );
}

/** The head of an HTTP request. @param line method and path */
export function request(line: string, ...headers: readonly string[]): string {
  return [`${line} HTTP/1.1`, "host: x", ...headers, "", ""].join("\r\n");
}

/** A frame of a client (RFC 6455 §5.2), masked with zeros. @param head FIN, RSV bits and opcode */
export function frame(head: number, payload: string | Buffer): Buffer {
  const body = Buffer.from(payload);
  const length = body.length < 126 ? [0x80 | body.length] : [0x80 | 126, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([head, ...length, 0, 0, 0, 0]), body]);
}

/** What the end of `received` is when the last frame closes with this code. */
export function closeFrame(code: number): RegExp {
  const bytes = [code >> 8, code & 0xff].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  return new RegExp(`\\x88[\\x02-\\x7d]${bytes}[\\s\\S]*$`);
}
