// Bodies of HTTP requests: read up to a bound each, and held up to a bound all together, since they wait for their answer in memory.
import { Code } from "@connectrpc/connect";
import { failure } from "./errors.ts";

export interface Bodies {
  /**
   * Counts the bytes that come, not those that were announced.
   * @throws ConnectError resource_exhausted BODY_TOO_LARGE; unavailable OVERLOADED where too many are held
   */
  read(request: Request): Promise<Uint8Array | null>;
  /** Of a request that was read, or was not: it has its answer. */
  done(request: Request): void;
}

/** Times the largest body. */
const maxHeld = 64;
const retryAfterMs = 1000;

export function createBodies(maxBytes: number): Bodies {
  const held = new WeakMap<Request, number>();
  let heldBytes = 0;

  const tooLarge = (): Error =>
    failure(Code.ResourceExhausted, "BODY_TOO_LARGE", `the body is larger than ${maxBytes} bytes`);

  const hold = (request: Request, bytes: number): void => {
    if (heldBytes + bytes > maxHeld * maxBytes) {
      throw failure(Code.Unavailable, "OVERLOADED", "too many requests wait for their answer", { retryAfterMs });
    }
    heldBytes += bytes;
    held.set(request, (held.get(request) ?? 0) + bytes);
  };

  return {
    async read(request) {
      if (request.body === null) {
        return null;
      }
      if (Number(request.headers.get("content-length") ?? 0) > maxBytes) {
        throw tooLarge();
      }
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of readChunks(request.body)) {
        length += chunk.length;
        if (length > maxBytes) {
          throw tooLarge();
        }
        hold(request, chunk.length);
        chunks.push(chunk);
      }
      const body = new Uint8Array(length);
      let offset = 0;
      for (const chunk of chunks) {
        body.set(chunk, offset);
        offset += chunk.length;
      }
      return body;
    },
    done(request) {
      heldBytes -= held.get(request) ?? 0;
      held.delete(request);
    },
  };
}

/** Async iteration of a ReadableStream, which the standard library's types do not have yet. */
async function* readChunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      yield next.value;
    }
  } finally {
    await reader.cancel();
  }
}
