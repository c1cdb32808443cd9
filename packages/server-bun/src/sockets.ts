// WebSockets on Bun, which speaks the protocol itself: a turn's frames are corked into one write.
import type { EncodedFrame, Gateway, Socket, SocketEvents, Upgrade } from "@im-gateway/core";

/** What goes along with a socket from its upgrade on. */
export class SocketData {
  readonly upgrade: Upgrade & { readonly accepted: true };
  /** Present once the gateway has the socket. */
  events: SocketEvents | undefined;
  /** The close that waits until the reader has taken what was written before it. */
  closing:
    | { readonly code: number; readonly reason: string; readonly timer: ReturnType<typeof setTimeout> }
    | undefined;

  constructor(upgrade: Upgrade & { readonly accepted: true }) {
    this.upgrade = upgrade;
  }
}

export interface SocketsOptions {
  readonly gateway: Gateway;
  /** A longer frame closes its socket 1009. */
  readonly maxFrameBytes: number;
}

/** How long a peer may take to read what it still has to before its TCP connection is dropped. */
const closeTimeoutMs = 2000;

/** Bun has sent these codes to the peer, and tells 1006 with its words for it. */
const violationCodes: Readonly<Record<string, number>> = {
  "Received invalid UTF-8": 1007,
  "Received too big message": 1009,
};

/** The part of `Bun.serve`'s options that handles the sockets which were upgraded. */
export function createWebSocketHandler({ gateway, maxFrameBytes }: SocketsOptions): Bun.WebSocketHandler<SocketData> {
  return {
    maxPayloadLength: maxFrameBytes,
    perMessageDeflate: false,
    // The gateway has its own bound and closes by it; Bun would drop frames and say nothing.
    backpressureLimit: 0,
    // So is the heartbeat: the gateway pings. A peer that does not answer a close is dropped after 4 s all the same.
    idleTimeout: 0,
    sendPings: false,
    open(ws) {
      ws.data.events = gateway.open(new BunSocket(ws), ws.data.upgrade);
    },
    message(ws, message) {
      if (typeof message === "string") {
        ws.data.events?.text(message, Buffer.byteLength(message));
      } else {
        ws.data.events?.binary();
      }
    },
    ping: (ws) => ws.data.events?.activity(),
    pong: (ws) => ws.data.events?.activity(),
    drain(ws) {
      const { closing } = ws.data;
      if (closing !== undefined && ws.getBufferedAmount() === 0) {
        ws.close(closing.code, closing.reason);
      }
    },
    close(ws, code, reason) {
      const { data } = ws;
      clearTimeout(data.closing?.timer);
      const ended = data.closing ?? {
        code: code === 1006 && reason !== "" ? (violationCodes[reason] ?? 1002) : code,
        reason,
      };
      // Bun calls this within `ws.close`, the gateway expects it later.
      queueMicrotask(() => data.events?.closed(ended.code, ended.reason));
    },
  };
}

/** A class with a private field, not a closure: there are 100,000 of them. */
class BunSocket implements Socket {
  readonly #ws: Bun.ServerWebSocket<SocketData>;

  constructor(ws: Bun.ServerWebSocket<SocketData>) {
    this.#ws = ws;
  }

  get bufferedBytes(): number {
    return this.#ws.getBufferedAmount();
  }

  write(frames: readonly EncodedFrame[]): number {
    const ws = this.#ws;
    if (ws.readyState !== WebSocket.OPEN || ws.data.closing !== undefined) {
      return 0;
    }
    let bytes = 0;
    ws.cork(() => {
      for (const { text } of frames) {
        ws.sendText(text);
        bytes += Buffer.byteLength(text);
      }
    });
    return bytes;
  }

  ping(): void {
    this.#ws.ping();
  }

  close(code: number, reason: string): void {
    const ws = this.#ws;
    if (ws.data.closing !== undefined) {
      return;
    }
    if (ws.getBufferedAmount() === 0) {
      ws.close(code, reason);
    } else {
      // Bun would say at once that it is closed, and a process that ends now would take along what the peer has not read.
      ws.data.closing = { code, reason, timer: setTimeout(() => ws.terminate(), closeTimeoutMs) };
    }
  }
}
