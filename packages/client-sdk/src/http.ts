// The HTTP door: one request a call, and streams as NDJSON.
import type { CallOptions } from "./call-options.ts";
import { deadline, untilAborted } from "./deadline.ts";
import { abortError, ImError, isObject, readError } from "./errors.ts";
import type { JsonObject } from "./gen/types.ts";
import { toHttpRequest } from "./route.ts";
import type { TokenSource } from "./token.ts";

export interface HttpOptions {
  /** Without a slash at its end. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly getToken: TokenSource;
  readonly timeoutMs: number;
}

export interface Http {
  call(route: string, request: JsonObject, options: CallOptions): Promise<unknown>;
  /** One value a line. @throws ImError also in the middle of it */
  stream(route: string, request: JsonObject, options: CallOptions): AsyncGenerator<unknown>;
}

/** Of answers that are not the gateway's own: a proxy's. */
const statusCodes: Readonly<Record<number, string>> = {
  400: "invalid_argument",
  401: "unauthenticated",
  403: "permission_denied",
  404: "not_found",
  408: "deadline_exceeded",
  413: "resource_exhausted",
  429: "resource_exhausted",
  501: "unimplemented",
  502: "unavailable",
  503: "unavailable",
  504: "deadline_exceeded",
};

export function createHttp({ url, fetch, getToken, timeoutMs }: HttpOptions): Http {
  const send = async (route: string, request: JsonObject, signal: AbortSignal, accept: string): Promise<Response> => {
    const { method, path, body } = toHttpRequest(route, request);
    const attempt = async (refresh: boolean): Promise<Response> => {
      const token = route.endsWith(" public") ? "" : await untilAborted(getToken(refresh), signal);
      const answer = await fetch(url + path, {
        method,
        signal,
        headers: {
          accept,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (answer.ok) {
        return answer;
      }
      const error = await toError(answer);
      if (error.reason === "TOKEN_EXPIRED" && token !== "" && !refresh) {
        return attempt(true);
      }
      throw error;
    };
    return attempt(false);
  };

  return {
    async call(route, request, options) {
      const signal = deadline(options, timeoutMs);
      try {
        const answer = await send(route, request, signal, "application/json");
        return parse(await answer.text());
      } catch (error) {
        throw ours(error, signal);
      }
    },
    async *stream(route, request, options) {
      const signal = deadline(options, 0);
      try {
        const { body } = await send(route, request, signal, "application/x-ndjson");
        for await (const line of lines(body)) {
          const value = parse(line);
          const error = isObject(value) ? readError(value.error) : undefined;
          if (error !== undefined) {
            throw error;
          }
          yield value;
        }
      } catch (error) {
        throw ours(error, signal);
      }
    },
  };
}

async function toError(answer: Response): Promise<ImError> {
  const body = await answer.text();
  const retryAfter = Number(answer.headers.get("retry-after") || Number.NaN);
  const retryAfterMs = Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined;
  let read: ImError | undefined;
  try {
    read = readError(JSON.parse(body), retryAfterMs);
  } catch {
    // Somebody else's page, so only the status tells.
  }
  const { status } = answer;
  const code = statusCodes[status] ?? (status < 500 ? "unknown" : "internal");
  return read ?? new ImError(code, "HTTP_STATUS", `HTTP ${status}`, { retry_after_ms: retryAfterMs });
}

/** Whatever was thrown on the way, as an error of ours. */
function ours(error: unknown, signal: AbortSignal): ImError {
  if (error instanceof ImError) {
    return error;
  }
  return signal.aborted
    ? abortError(signal)
    : new ImError("unavailable", "NETWORK", "the gateway could not be reached", { cause: error });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ImError("internal", "MALFORMED_ANSWER", "the answer is no JSON", { cause });
  }
}

async function* lines(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let next = await reader?.read(); next !== undefined && !next.done; next = await reader?.read()) {
      const parts = (rest + decoder.decode(next.value, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      yield* parts.filter((line) => line !== "");
    }
    if (rest !== "") {
      yield rest;
    }
  } finally {
    await reader?.cancel();
  }
}
