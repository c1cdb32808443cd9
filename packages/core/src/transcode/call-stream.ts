// Calls a server-streaming method and hands its messages on as they come.
import type { DescMethodServerStreaming, Message, Registry } from "@bufbuild/protobuf";
import type { ConnectError, Transport } from "@connectrpc/connect";
import { errorBody } from "../error-json.ts";
import type { Trace } from "../trace.ts";
import { type BoundCall, shownAnswer } from "./call.ts";
import { headersWaitMs, streamBody } from "./stream-body.ts";

export interface StreamRequest {
  readonly method: string;
  readonly signal?: AbortSignal;
}

export interface StreamHooks {
  /** Told of what went wrong; @returns it as a ConnectError. */
  readonly failed: (thrown: unknown) => ConnectError;
  /** Told once, when the stream has ended: at its end, by an error, or because nobody reads on. */
  readonly answered: (status: number) => void;
  /** What an Any can hold. */
  readonly types?: Registry | undefined;
}

/**
 * Resolves when the status is known: by the first message or the end of the stream; for an event stream also after `headersWaitMs`, since its reader
 * waits for the headers. What goes wrong later is told in the stream. HEAD ends the call there.
 * @throws ConnectError what went wrong before
 */
export async function callStream(
  transport: Transport,
  method: DescMethodServerStreaming,
  { route, type, message, spelled }: BoundCall,
  request: StreamRequest,
  { traceId, traceparent }: Trace,
  { failed, answered, types }: StreamHooks,
): Promise<Response> {
  const over = new AbortController();
  const abort = (): void => over.abort();
  if (request.signal?.aborted) {
    abort();
  }
  request.signal?.addEventListener("abort", abort, { once: true });
  let messages: AsyncIterator<Message> | undefined;
  const end = (): void => {
    request.signal?.removeEventListener("abort", abort);
    abort();
    messages?.return?.().catch(failed);
  };

  const first = (async () => {
    const input = one(message);
    const answer = await transport.stream(method, over.signal, undefined, { traceparent }, input);
    messages = answer.message[Symbol.asyncIterator]();
    return messages.next();
  })();
  try {
    await (type === "text/event-stream" ? within(first, headersWaitMs) : first);
  } catch (thrown) {
    end();
    throw spelled(thrown);
  }

  const status = route.successStatus;
  const init = { status, headers: { "content-type": type, "cache-control": "no-store" } };
  if (request.method === "HEAD") {
    end();
    answered(status);
    return new Response(null, init);
  }
  let begun = false;
  const body = streamBody(type === "text/event-stream" ? type : "application/x-ndjson", {
    async next() {
      const result = begun && messages !== undefined ? await messages.next() : await first;
      begun = true;
      return result.done ? undefined : shownAnswer(route, result.value, types);
    },
    errorBody: (thrown) => errorBody(failed(spelled(thrown)), traceId),
    ended() {
      end();
      answered(status);
    },
  });
  return new Response(body, init);
}

/** Settles as `work` does if it does so in time, else resolves. */
async function within(work: Promise<unknown>, waitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  try {
    await Promise.race([work, waited]);
  } finally {
    clearTimeout(timer);
  }
}

async function* one<T>(item: T): AsyncGenerator<T> {
  yield item;
}
