// The answers of a server-streaming method as one HTTP response: NDJSON or server-sent events (docs/adr/0007-streams.md).
import type { JsonValue } from "@bufbuild/protobuf";

export type StreamType = "application/x-ndjson" | "text/event-stream";

/** In the order of preference. */
export const streamTypes: readonly [StreamType, ...StreamType[]] = ["application/x-ndjson", "text/event-stream"];

/** How long an event stream waits for its first message or error before its headers leave. */
export const headersWaitMs = 250;

/** What waits for a slow reader before no more messages are asked for. */
const bufferBytes = 16 * 1024;

/** How messages, the failure and the proper end look on the wire. */
interface Format {
  readonly head: string;
  readonly message: (json: JsonValue) => string;
  readonly error: (body: JsonValue) => string;
  readonly end: string;
}

const formats: Readonly<Record<StreamType, Format>> = {
  "application/x-ndjson": {
    head: "",
    message: (json) => `${JSON.stringify(json)}\n`,
    error: (body) => `${JSON.stringify({ error: body })}\n`,
    end: "",
  },
  "text/event-stream": {
    // A comment: with it the headers leave, on every runtime.
    head: ":\n\n",
    message: (json) => `data: ${JSON.stringify(json)}\n\n`,
    error: (body) => `event: error\ndata: ${JSON.stringify(body)}\n\n`,
    end: "event: end\ndata: {}\n\n",
  },
};

export interface StreamedMessages {
  /** The next message as JSON; undefined at the end. */
  next(): Promise<JsonValue | undefined>;
  /** What an error that is thrown by `next` looks like. */
  errorBody(thrown: unknown): JsonValue;
  /** Called once, when all is sent or nobody reads on: ends the call. */
  ended(): void;
}

/** A message is asked for only when there is room for it. */
export function streamBody(type: StreamType, messages: StreamedMessages): ReadableStream<Uint8Array> {
  const { head, message, error, end } = formats[type];
  const utf8 = new TextEncoder();
  let over = false;
  const finish = (): void => {
    if (!over) {
      over = true;
      messages.ended();
    }
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        if (head !== "") {
          controller.enqueue(utf8.encode(head));
        }
      },
      async pull(controller) {
        let text: string;
        let last = false;
        try {
          const json = await messages.next();
          last = json === undefined;
          text = json === undefined ? end : message(json);
        } catch (thrown) {
          last = true;
          text = error(messages.errorBody(thrown));
        }
        if (over) {
          return;
        }
        if (text !== "") {
          controller.enqueue(utf8.encode(text));
        }
        if (last) {
          controller.close();
          finish();
        }
      },
      cancel: finish,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: bufferBytes }),
  );
}
