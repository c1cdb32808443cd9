// HTTP as it is on the wire: what `fetch` would mend or refuse by itself goes out as it was written.
import { request } from "node:http";
import { connect, type Socket } from "node:net";

const deadlineMs = 10_000;

export interface WireRequest {
  readonly method: string;
  /** As it goes out: not normalised, not encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Several pieces go out in chunks, without a content-length. */
  readonly body?: string | Uint8Array | readonly Uint8Array[] | undefined;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** One request on a connection of its own. @param base `http://host:port` */
export function exchange(base: string, { method, path, headers = {}, body }: WireRequest): Promise<WireAnswer> {
  const { hostname, port } = new URL(base);
  const whole = typeof body === "string" ? Buffer.from(body) : body instanceof Uint8Array ? body : undefined;
  const pieces = body instanceof Uint8Array || typeof body === "string" ? [] : body;
  const length = whole === undefined ? {} : { "content-length": String(whole.length) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, method, path, headers: { ...length, ...headers }, agent: false });
    outgoing.setTimeout(deadlineMs, () => outgoing.destroy(new Error(`no answer to ${method} ${path}`)));
    outgoing.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    outgoing.on("error", reject);
    for (const piece of pieces ?? []) {
      outgoing.write(piece);
    }
    outgoing.end(whole);
  });
}

export interface Wire {
  write(bytes: string | Uint8Array): void;
  /** The peer has ended the connection: all that it had said, and how long it had stayed. */
  readonly closed: Promise<{ readonly bytes: Buffer; readonly afterMs: number }>;
  /** All that has come so far. */
  received(): Buffer;
  destroy(): void;
}

/** A bare TCP connection. @param base `http://host:port` */
export async function openWire(base: string): Promise<Wire> {
  const { hostname, port } = new URL(base);
  const openedMs = performance.now();
  const chunks: Buffer[] = [];
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connect(Number(port), hostname, () => resolve(opening));
    opening.once("error", reject);
  });
  socket.on("data", (chunk) => chunks.push(chunk));
  // A reset is an end as well.
  socket.on("error", () => socket.destroy());
  const received = (): Buffer => Buffer.concat(chunks);
  const closed = new Promise<{ bytes: Buffer; afterMs: number }>((resolve) => {
    socket.once("close", () => resolve({ bytes: received(), afterMs: performance.now() - openedMs }));
  });
  return {
    write(bytes) {
      socket.write(bytes);
    },
    closed,
    received,
    destroy: () => socket.destroy(),
  };
}

/** The one answer in what a connection said. */
export function parseAnswer(bytes: Uint8Array): WireAnswer {
  const [head = "", ...rest] = Buffer.from(bytes).toString().split("\r\n\r\n");
  const [status = "", ...lines] = head.split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status: Number(status.split(" ")[1]), headers: Object.fromEntries(headers), text: rest.join("\r\n\r\n") };
}
