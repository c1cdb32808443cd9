// One socket's life: waiting for its first `auth` frame → open → closed. Moved by this class alone.
import type { EncodedFrame, Socket } from "./adapters.ts";
import type { Counters } from "./counters.ts";
import type { CloseCode } from "./errors.ts";
import type { Identity } from "./identity/token.ts";
import type { Gate } from "./session/gate.ts";

export type ConnectionState =
  /** Upgraded without a token. `held` are the texts that came while one is being verified: they are handled after it. */
  | { readonly t: "waiting"; readonly sinceMs: number; readonly held: string[] | undefined }
  /** Authenticated. `held` as above, while a token that came in band is being verified. */
  | { readonly t: "open"; readonly identity: Identity; readonly held: string[] | undefined }
  /** `code`: what this side closed with, if it did. */
  | { readonly t: "closed"; readonly code: CloseCode | undefined };

export interface ConnectionLimits {
  /** What may wait for a slow reader before the socket is closed 4008. */
  readonly sendBufferBytes: number;
}

/** More bad frames than this within the window close the socket 4500 (CONTRACT §4). */
const maxBadFrames = 10;
const badFrameWindowMs = 60_000;
/** Texts that may wait while a token is verified; a client that sends more before it is told who it is, is refused. */
const maxHeld = 64;

/** A class with private fields, not a closure: there are 100,000 of them. */
export class Connection {
  readonly id: string;
  /** Unix milliseconds. */
  readonly openedMs: number;
  /** Unix milliseconds of the last thing that the client sent, pongs included. */
  lastInputMs: number;
  /** Unix milliseconds of the ping that nothing has come after; 0 without one. */
  pingedMs = 0;
  /** `seq` of its last `connected` event; 0 before that. */
  eventSeq = 0;
  /** Frames whose answer is still to come. */
  unanswered = 0;
  /** The client was told that its token ends soon. */
  expiringSent = false;
  /** What live frames go through while it resumes and shortly after; undefined most of the time. */
  gate: Gate | undefined = undefined;
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  #state: ConnectionState;
  readonly #counters: Counters;
  #outbox: EncodedFrame[] = [];
  /** Characters in the outbox. */
  #outboxLength = 0;
  #badFramesMs: number[] | undefined;

  constructor(id: string, socket: Socket, limits: ConnectionLimits, counters: Counters, nowMs: number) {
    this.id = id;
    this.openedMs = nowMs;
    this.lastInputMs = nowMs;
    this.#socket = socket;
    this.#limits = limits;
    this.#counters = counters;
    this.#state = { t: "waiting", sinceMs: nowMs, held: undefined };
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Undefined before authentication and after the close. */
  get identity(): Identity | undefined {
    return this.#state.t === "open" ? this.#state.identity : undefined;
  }

  /** What waits for a slow reader. */
  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  /** From now on texts are held, until `authenticated`. */
  verifying(): void {
    if (this.#state.t !== "closed") {
      this.#state = { ...this.#state, held: [] };
    }
  }

  /**
   * Keeps a text that came while a token is verified.
   * @returns "not-verifying": handle it now; "full": too many
   */
  hold(text: string): "held" | "not-verifying" | "full" {
    const held = this.#state.t === "closed" ? undefined : this.#state.held;
    if (held === undefined) {
      return "not-verifying";
    }
    return held.push(text) > maxHeld ? "full" : "held";
  }

  /** @returns the texts that were held, to be handled now */
  authenticated(identity: Identity): readonly string[] {
    if (this.#state.t === "closed") {
      return [];
    }
    const held = this.#state.held ?? [];
    this.#state = { t: "open", identity, held: undefined };
    this.expiringSent = false;
    return held;
  }

  /** Counts a frame that broke the protocol. @returns whether there are too many now */
  countBadFrame(nowMs: number): boolean {
    this.#badFramesMs = (this.#badFramesMs ?? []).filter((at) => at > nowMs - badFrameWindowMs);
    this.#badFramesMs.push(nowMs);
    return this.#badFramesMs.length > maxBadFrames;
  }

  /** What was queued since the last flush, in characters. */
  get queuedLength(): number {
    return this.#outboxLength;
  }

  /**
   * @returns how many frames wait for `flush` now, which somebody has to call at the end of the turn; 0 when it took nothing: it is closed, or
   * the frame is a lossy one and half of what may wait for the reader does already
   */
  queue(frame: EncodedFrame): number {
    if (this.#state.t === "closed") {
      return 0;
    }
    if (frame.lossy && this.#socket.bufferedBytes > this.#limits.sendBufferBytes / 2) {
      this.#counters.deliveriesDropped += 1;
      return 0;
    }
    this.#outboxLength += frame.text.length;
    return this.#outbox.push(frame);
  }

  /**
   * Hands all that was queued to the socket in one write.
   * @returns false when the reader is too slow: the caller closes it. Only what the socket could not send before counts, for nobody can
   * read within one turn
   */
  flush(): boolean {
    if (this.#outbox.length === 0) {
      return true;
    }
    const frames = this.#outbox;
    this.#outbox = [];
    this.#outboxLength = 0;
    if (this.#socket.bufferedBytes > this.#limits.sendBufferBytes) {
      return false;
    }
    this.#counters.bytesOut += this.#socket.write(frames);
    return true;
  }

  ping(nowMs: number): void {
    this.pingedMs = nowMs;
    this.#socket.ping();
  }

  /** Flushes, then starts the closing handshake. Does nothing on one that is closed. @returns who it was, if it was open until now */
  close(code: CloseCode, reason: string): Identity | undefined {
    const { identity } = this;
    if (this.#state.t !== "closed") {
      this.flush();
      this.#state = { t: "closed", code };
      this.#socket.close(code, reason);
    }
    return identity;
  }

  /** The socket is gone. @returns who it was, if it was open until now */
  closed(): Identity | undefined {
    const { identity } = this;
    if (this.#state.t !== "closed") {
      this.#state = { t: "closed", code: undefined };
      this.#outbox = [];
      this.#outboxLength = 0;
    }
    return identity;
  }
}
