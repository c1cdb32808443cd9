// One WebSocket from its opening to its close: the `auth` frame, frames that are answered, heartbeat.
import type { CallOptions } from "./call-options.ts";
import { connectionLost } from "./close-codes.ts";
import { deadline } from "./deadline.ts";
import { abortError, ImError, isObject, readError } from "./errors.ts";
import type { ClientFrames, ConnectedData, JsonObject } from "./gen/types.ts";
import { toJson } from "./json.ts";

export interface LinkOptions {
  readonly url: string;
  readonly token: string;
  readonly WebSocket: new (url: string) => WebSocket;
  /** Of an answer. */
  readonly timeoutMs: number;
  readonly onOnline: (connected: ConnectedData) => void;
  /** Every frame, the answers among them, but errors that answer a frame. */
  readonly onFrame: (type: string, data: JsonObject) => void;
  /** Once, and nothing after it. */
  readonly onClosed: (code: number, reason: string) => void;
}

export interface Link {
  /** Sends a frame. @returns the data of its answer. @throws ImError */
  request<T extends keyof ClientFrames>(type: T, data: ClientFrames[T], options: CallOptions): Promise<JsonObject>;
  /** Sends a frame that nothing answers. */
  push<T extends keyof ClientFrames>(type: T, data: ClientFrames[T]): void;
  /** Ends it without `onClosed`. */
  close(): void;
}

interface Waiting {
  readonly resolve: (data: JsonObject) => void;
  readonly reject: (error: ImError) => void;
}

/** From the first byte to `connected`. */
const openTimeoutMs = 15_000;
/** Of a heartbeat: what the gateway's own ping, which no script sees, and a slow network may take. */
const maxGraceMs = 5000;

export function openLink(options: LinkOptions): Link {
  const { token, timeoutMs, onOnline, onFrame, onClosed } = options;
  const socket = new options.WebSocket(options.url);
  const waiting = new Map<string, Waiting>();
  let sent = 0;
  let maxFrameBytes = Number.POSITIVE_INFINITY;
  let ended = false;
  let timer = setTimeout(() => end(connectionLost, "no answer in time"), openTimeoutMs);

  const end = (code: number, reason: string, tell = onClosed): void => {
    if (ended) {
      return;
    }
    ended = true;
    clearTimeout(timer);
    // It may take its time, or never answer: nobody waits for it.
    socket.close();
    for (const { reject } of waiting.values()) {
      reject(new ImError("unavailable", "CONNECTION_LOST", `the connection ended: ${code} ${reason}`.trimEnd()));
    }
    tell(code, reason);
  };

  const send = (type: string, data: object, message_id: string): void => {
    const text = toJson({ type, message_id, data, timestamp: Date.now() });
    // The gateway would close the socket for good.
    if (text.length * 3 > maxFrameBytes && new TextEncoder().encode(text).length > maxFrameBytes) {
      const message = `the frame is larger than ${maxFrameBytes} bytes`;
      throw new ImError("invalid_argument", "MESSAGE_TOO_LARGE", message);
    }
    socket.send(text);
  };

  const request: Link["request"] = (type, data, callOptions) =>
    new Promise((resolve, reject) => {
      const signal = deadline(callOptions, timeoutMs);
      const message_id = String(++sent);
      const settle = (): void => {
        waiting.delete(message_id);
        signal.removeEventListener("abort", abort);
      };
      const abort = (): void => {
        settle();
        reject(abortError(signal));
      };
      if (signal.aborted) {
        return abort();
      }
      send(type, data, message_id);
      signal.addEventListener("abort", abort);
      waiting.set(message_id, {
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
    });

  /** Asks for a sign of life after a silence that the gateway's pings would not leave on an open line. */
  const watch = (intervalMs: number): void => {
    const graceMs = Math.min(maxGraceMs, intervalMs);
    clearTimeout(timer);
    timer = setTimeout(() => {
      send("ping", {}, "");
      timer = setTimeout(() => end(connectionLost, "heartbeat lost"), graceMs);
    }, intervalMs + graceMs);
  };

  let intervalMs: number | undefined;
  const receive = (frame: unknown): void => {
    if (!isObject(frame) || typeof frame.type !== "string") {
      return;
    }
    const data = isObject(frame.data) ? frame.data : {};
    if (frame.type === "connected") {
      intervalMs = Number(data.heartbeat_interval_ms);
      maxFrameBytes = Number(data.max_frame_bytes);
      onOnline(data as ConnectedData);
    }
    if (intervalMs !== undefined && !ended) {
      watch(intervalMs);
    }
    const asked = waiting.get(String(frame.message_id));
    const error = frame.type === "error" ? readError(data) : undefined;
    if (error !== undefined && frame.message_id !== "") {
      // Of what nobody waits for any longer it is no news.
      asked?.reject(error);
      return;
    }
    asked?.resolve(data);
    onFrame(frame.type, data);
  };

  socket.onopen = () => send("auth", { token }, "");
  socket.onmessage = ({ data }) => {
    if (!ended) {
      receive(parse(data));
    }
  };
  socket.onclose = ({ code, reason }) => end(code, reason);

  return {
    request,
    push: (type, data) => send(type, data, ""),
    close: () => end(1000, "closed by the client", () => {}),
  };
}

/** Undefined for what is no JSON: no gateway of ours sends it. */
function parse(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
