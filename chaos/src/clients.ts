// Clients of a scenario: they number what they send, reconnect by themselves, resume, and keep an inbox.
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import type { Inbox } from "./inbox.ts";
import type { Ledger } from "./ledger.ts";
import type { Named } from "./wire-order.ts";

export interface ClientOptions {
  readonly name: string;
  readonly token: string;
  /** WebSocket URLs; each attempt takes one of them at random. Asked anew each time. */
  readonly gateways: () => readonly string[];
  readonly inbox: Inbox;
  /** Of what it sends. */
  readonly ledger: Ledger;
  /** After resync-required: the seq_ids of the conversation beyond `after`, from im-logic's history. `[]`: of all it is in. */
  readonly fetchMissed?: (conversationIds: readonly string[], inbox: Inbox) => Promise<void>;
  /** The nth wait before a reconnect is up to `baseMs` × 2^n, at most `capMs`; with a hint of goaway it is spread over that. Default 200, 2000. */
  readonly backoff?: { readonly baseMs: number; readonly capMs: number };
  /** Every frame as it comes. */
  readonly onFrame?: (frame: Frame) => void;
}

export interface Frame {
  readonly type: string;
  readonly message_id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Disconnect {
  /** 1006 when there was no close frame. */
  readonly code: number;
  readonly atMs: number;
  /** When `connected` came again. */
  readonly backMs?: number;
  /** When the resume after it was answered. */
  readonly resumedMs?: number;
}

export interface Client {
  readonly name: string;
  readonly inbox: Inbox;
  /** The gateway's URL while `connected` has come and the socket lives. */
  readonly connectedTo: string | undefined;
  /** Of the `connected` frame that came last. */
  readonly connectionId: string | undefined;
  /** In the order of time; by `performance.now()`. */
  readonly disconnects: readonly Disconnect[];
  /** Frames of type error that answer no message, and answers to resume that are none. */
  readonly complaints: readonly string[];
  /** How often it was told to resync. */
  readonly resyncs: number;
  /** A new message, now or when it is connected again; what is not acked is sent until it is. */
  send(conversationId: string): void;
  /** The socket goes without a close frame, and the client reconnects. */
  drop(): void;
  /** Nothing is read any more; the socket stays. */
  pause(): void;
  close(): Promise<void>;
}

const connectTimeoutMs = 5000;
/** The message_id that the closing frame of a resume echoes. */
const resumeId = "resume";
const defaultRetryMs = 200;
const maxRetryMs = 8000;

/** Begins to connect. Whoever needs it connected waits for `connectedTo`. */
export function createClient(options: ClientOptions): Client {
  const { inbox, ledger, backoff = { baseMs: 200, capMs: 2000 } } = options;
  const ending = new AbortController();
  /** Not acked, in the order of sending, and whether a try of it is under way on this connection. */
  const outbox = new Map<string, { readonly conversationId: string; underWay: boolean; refusals: number }>();
  const disconnects: { code: number; atMs: number; backMs?: number; resumedMs?: number }[] = [];
  const complaints: string[] = [];
  let socket: WebSocket | undefined;
  let connectedTo: string | undefined;
  let connectionId: string | undefined;
  let resyncs = 0;
  let attempts = 0;
  let everConnected = false;
  let hint: { readonly afterMs: number; readonly withinMs: number } | undefined;
  let fetching: Promise<void> = Promise.resolve();
  /** Of this connection: its resume is not answered yet, and so many reads of the history are under way. */
  let resuming = false;
  let reads = 0;

  const write = (type: string, messageId: string, data: unknown): void => {
    socket?.send(JSON.stringify({ type, message_id: messageId, data, timestamp: Date.now() }));
  };
  const attempt = (clientMsgId: string): void => {
    const message = outbox.get(clientMsgId);
    if (message === undefined || message.underWay || connectedTo === undefined) return;
    message.underWay = true;
    ledger.tried(clientMsgId);
    const { conversationId } = message;
    write("send-message", clientMsgId, {
      conversation_id: conversationId,
      message_type: 1,
      content: clientMsgId,
      client_msg_id: clientMsgId,
    });
  };

  const onFrame = (url: string, frame: Frame): void => {
    const { type, data, message_id: messageId } = frame;
    options.onFrame?.(frame);
    if (type === "new-message" || type === "message-stored") {
      inbox.frame(String(data.conversation_id), Number(data.seq_id));
    } else if (type === "message-ack") {
      const clientMsgId = String(data.client_msg_id);
      outbox.delete(clientMsgId);
      ledger.acked(clientMsgId);
    } else if (type === "error") {
      onError(messageId, data);
    } else if (type === "connected") {
      onConnected(url, data);
    } else if (type === "resumed") {
      onAnswered("none");
    } else if (type === "resync-required") {
      onResync(messageId, Array.isArray(data.conversation_ids) ? data.conversation_ids.map(String) : []);
    } else if (type === "goaway") {
      hint = { afterMs: Number(data.reconnect_after_ms), withinMs: Number(data.reconnect_within_ms) };
    }
  };
  const onResync = (messageId: string, named: readonly string[]): void => {
    resyncs += 1;
    // From here to the history's answer it knows that what comes live has gaps.
    reads += 1;
    if (messageId === resumeId) onAnswered(named);
    inbox.hold(named);
    const its = connectionId;
    const fetch = options.fetchMissed;
    fetching = fetching
      .then(() => fetch?.(named, inbox))
      .catch((error: unknown) => void complaints.push(String(error)));
    void fetching.then(() => {
      // A later connection asks for itself, by its own resume.
      if (connectionId !== its) return;
      reads -= 1;
      // What is held is newer than what is fetched.
      caughtUp();
    });
  };
  const onError = (messageId: string, data: Frame["data"]): void => {
    const message = outbox.get(messageId);
    if (message === undefined) {
      complaints.push(`${data.code} ${data.reason} ${data.message}`);
      if (messageId === resumeId) onAnswered([]);
      return;
    }
    ledger.refused(messageId);
    const again = (): void => {
      message.underWay = false;
      attempt(messageId);
    };
    // Whoever is refused again and again asks more and more seldom.
    const retryMs = Number(data.retry_after_ms ?? defaultRetryMs) * 2 ** message.refusals;
    message.refusals += 1;
    setTimeout(again, Math.min(retryMs, maxRetryMs) * (0.5 + Math.random() / 2)).unref();
  };
  const onConnected = (url: string, data: Frame["data"]): void => {
    connectedTo = url;
    connectionId = String(data.connection_id);
    attempts = 0;
    inbox.connected(everConnected);
    resuming = everConnected;
    reads = 0;
    const last = disconnects.at(-1);
    if (last !== undefined && last.backMs === undefined) last.backMs = performance.now();
    if (everConnected) write("resume", resumeId, { cursors: inbox.cursors() });
    everConnected = true;
    for (const clientMsgId of outbox.keys()) attempt(clientMsgId);
  };
  const onAnswered = (named: Named): void => {
    if (!resuming) return;
    resuming = false;
    inbox.answered(named);
    caughtUp();
  };
  const caughtUp = (): void => {
    if (resuming || reads > 0) return;
    inbox.resumed();
    const last = disconnects.at(-1);
    if (last?.backMs !== undefined && last.resumedMs === undefined) last.resumedMs = performance.now();
  };

  const open = (): void => {
    const urls = options.gateways();
    const url = urls[Math.floor(Math.random() * urls.length)] ?? "";
    const opened = new WebSocket(`${url}?token=${options.token}`, {
      perMessageDeflate: false,
      handshakeTimeout: connectTimeoutMs,
    });
    socket = opened;
    hint = undefined;
    opened.on("message", (text) => onFrame(url, JSON.parse(text.toString())));
    // What was wrong shows in the close that follows.
    opened.on("error", () => opened.terminate());
    opened.on("close", (code) => {
      if (connectedTo !== undefined && !ending.signal.aborted) disconnects.push({ code, atMs: performance.now() });
      connectedTo = undefined;
      for (const [clientMsgId, message] of outbox) {
        if (message.underWay) ledger.abandoned(clientMsgId);
        message.underWay = false;
      }
      if (!ending.signal.aborted) void reopen();
    });
  };
  const reopen = async (): Promise<void> => {
    const waitMs =
      hint === undefined
        ? Math.random() * Math.min(backoff.baseMs * 2 ** attempts, backoff.capMs)
        : hint.afterMs + Math.random() * hint.withinMs;
    attempts += 1;
    await sleep(waitMs);
    if (!ending.signal.aborted) open();
  };
  open();

  return {
    name: options.name,
    inbox,
    get connectedTo() {
      return connectedTo;
    },
    get connectionId() {
      return connectionId;
    },
    disconnects,
    complaints,
    get resyncs() {
      return resyncs;
    },
    send(conversationId) {
      const clientMsgId = ledger.next(conversationId, options.name);
      outbox.set(clientMsgId, { conversationId, underWay: false, refusals: 0 });
      attempt(clientMsgId);
    },
    drop: () => socket?.terminate(),
    pause: () => socket?.pause(),
    async close() {
      ending.abort();
      const last = socket;
      if (last !== undefined && last.readyState !== WebSocket.CLOSED) {
        const closed = new Promise<void>((resolve) => last.once("close", () => resolve()));
        last.terminate();
        await closed;
      }
      await fetching;
    },
  };
}
