// WebSockets on Node: ws speaks the protocol, the upgraded TCP socket is ours, so that a turn's frames leave in one write.
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Gateway, Log, Socket } from "@im-gateway/core";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { answerRaw } from "./raw-answer.ts";

export interface SocketsOptions {
  readonly server: Server;
  readonly gateway: Gateway;
  /** Upgrades of other paths are refused with 404. */
  readonly path: string;
  /** A longer frame closes its socket 1009. */
  readonly maxFrameBytes: number;
  readonly log: Log;
}

/** How long a peer may take to answer a close before its TCP connection is dropped. */
const closeTimeoutMs = 2000;
/** A message in more pieces than this is an attack, not a message. */
const maxFragments = 1024;

/** What ws closes a socket with by itself, by its error's code; 1002 for all others of its own. */
const closeCodes: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
};

/** Answers the server's WebSocket upgrades from now on. */
export function serveSockets({ server, gateway, path, maxFrameBytes, log }: SocketsOptions): void {
  const protocols = new WeakMap<IncomingMessage, string>();
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    maxFragments,
    closeTimeout: closeTimeoutMs,
    // By itself ws would echo the first sub-protocol that was offered, which may hold the token.
    handleProtocols: (_offered: Set<string>, request: IncomingMessage) => protocols.get(request) ?? false,
  };
  const webSockets = new WebSocketServer(options);
  // Else ws answers in its own words.
  webSockets.on("wsClientError", (_error, tcp) => void answerRaw(tcp, gateway.refuse("bad-handshake")));

  server.on("upgrade", (request, tcp, head) => {
    // A peer may reset the connection at any time, also while its token is verified.
    const onError = (error: Error): void => log("debug", "upgrade failed", { error: error.message });
    tcp.on("error", onError);
    upgrade(request, tcp, head).catch((error: unknown) => {
      log("error", "upgrade failed", { error });
      tcp.destroy();
    });
  });

  const upgrade = async (request: IncomingMessage, tcp: Duplex, head: Buffer): Promise<void> => {
    const url = request.url ?? "/";
    const headers = headersOf(request);
    if (url.split("?")[0] !== path) {
      await answerRaw(tcp, await gateway.fetch(new Request(`http://localhost${path}`, { headers }), { rawPath: url }));
      return;
    }
    const decision = await gateway.upgrade({ path: url, headers });
    if (!decision.accepted) {
      await answerRaw(tcp, decision.response);
      return;
    }
    if (decision.protocol !== undefined) {
      protocols.set(request, decision.protocol);
    }
    webSockets.handleUpgrade(request, tcp, head, (webSocket) => {
      const events = gateway.open(createSocket(webSocket, tcp), decision);
      webSocket.on("message", (data, isBinary) => {
        if (isBinary) {
          events.binary();
        } else {
          const bytes = bytesOf(data);
          events.text(bytes.toString("utf8"), bytes.length);
        }
      });
      webSocket.on("ping", () => events.activity());
      webSocket.on("pong", () => events.activity());
      let refusedWith: number | undefined;
      webSocket.on("close", (code, reason) => events.closed(refusedWith ?? code, reason.toString()));
      // ws closes the socket itself; `close` follows, with another code if the peer does not answer.
      webSocket.on("error", (error: NodeJS.ErrnoException) => {
        refusedWith ??= closeCodes[error.code ?? ""] ?? (error.code?.startsWith("WS_ERR_") ? 1002 : undefined);
        log("debug", "socket error", { error: error.message });
      });
    });
  };
}

function createSocket(webSocket: WebSocket, tcp: Duplex): Socket {
  return {
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    write(frames) {
      if (webSocket.readyState !== webSocket.OPEN) {
        return;
      }
      tcp.cork();
      for (const frame of frames) {
        webSocket.send(frame, { binary: false });
      }
      tcp.uncork();
    },
    ping() {
      if (webSocket.readyState === webSocket.OPEN) {
        webSocket.ping();
      }
    },
    close: (code, reason) => webSocket.close(code, reason),
  };
}

function bytesOf(data: RawData): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]);
}

function headersOf(request: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    headers.append(request.rawHeaders[i] ?? "", request.rawHeaders[i + 1] ?? "");
  }
  return headers;
}
