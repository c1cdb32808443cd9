// Bodies of HTTP requests: read up to a bound each, and held up to a bound all together, since they wait for their answer in memory.
import { Code } from "@connectrpc/connect";
import type { Counters } from "./counters.ts";
import { failure } from "./errors.ts";
import { createRefuse } from "./limits/refusal.ts";

export interface Bodies {
  /**
   * Counts the bytes that come, not those that were announced.
   * @throws ConnectError resource_exhausted BODY_TOO_LARGE; unavailable OVERLOADED where too many are held, or where too many come and this one
   * has been on its way for longest
   */
  read(request: Request): Promise<Uint8Array | null>;
  /** Of a request that was read, or was not: it has its answer. */
  done(request: Request): void;
}

/** Times the largest body: of those that come, and again of those that wait. */
const maxBodies = 64;

/** A body on its way. */
interface Coming {
  bytes: number;
  /** undefined once it was broken off. */
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
}

export function createBodies(maxBytes: number, counters: Pick<Counters, "refused">): Bodies {
  const refuse = createRefuse(counters);
  /** Oldest first. */
  const coming = new Set<Coming>();
  let comingBytes = 0;
  const waiting = new WeakMap<Request, number>();
  let waitingBytes = 0;

  const tooLarge = (): Error =>
    failure(Code.ResourceExhausted, "BODY_TOO_LARGE", `the body is larger than ${maxBytes} bytes`);
  const tooMany = (message: string): Error => refuse({ of: "bodies", reason: "OVERLOADED", message });

  const forget = (body: Coming): void => {
    if (coming.delete(body)) {
      comingBytes -= body.bytes;
    }
  };

  /** Whoever sends slowly, or never ends, makes room for those who come after. */
  const makeRoom = (): void => {
    for (const oldest of coming) {
      if (comingBytes <= maxBodies * maxBytes) {
        return;
      }
      forget(oldest);
      const { reader } = oldest;
      oldest.reader = undefined;
      // Ends its read; rejects where the peer has ended it already.
      reader?.cancel().catch(() => {});
    }
  };

  const readChunks = async (stream: ReadableStream<Uint8Array>): Promise<Uint8Array[]> => {
    const reader = stream.getReader();
    const body: Coming = { bytes: 0, reader };
    const chunks: Uint8Array[] = [];
    coming.add(body);
    try {
      for (let next = await reader.read(); body.reader !== undefined && !next.done; next = await reader.read()) {
        chunks.push(next.value);
        body.bytes += next.value.length;
        comingBytes += next.value.length;
        if (body.bytes > maxBytes) {
          throw tooLarge();
        }
        makeRoom();
      }
      if (body.reader === undefined) {
        throw tooMany("too many requests are on their way");
      }
      return chunks;
    } finally {
      forget(body);
      await reader.cancel();
    }
  };

  return {
    async read(request) {
      if (request.body === null) {
        return null;
      }
      if (Number(request.headers.get("content-length") ?? 0) > maxBytes) {
        throw tooLarge();
      }
      const chunks = await readChunks(request.body);
      const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      if (waitingBytes + length > maxBodies * maxBytes) {
        throw tooMany("too many requests wait for their answer");
      }
      waitingBytes += length;
      waiting.set(request, length);
      const body = new Uint8Array(length);
      let offset = 0;
      for (const chunk of chunks) {
        body.set(chunk, offset);
        offset += chunk.length;
      }
      return body;
    },
    done(request) {
      waitingBytes -= waiting.get(request) ?? 0;
      waiting.delete(request);
    },
  };
}
