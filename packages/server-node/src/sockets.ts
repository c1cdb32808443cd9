// WebSockets on Node: ws speaks the protocol, the upgraded TCP socket is ours, so that a turn's frames leave in one write.
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { EncodedFrame, Gateway, Log, Socket } from "@im-gateway/core";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { answerRaw } from "./raw-answer.ts";

export interface SocketsOptions {
  readonly server: Server;
  readonly gateway: Gateway;
  /** Upgrades of other paths are refused with 404. */
  readonly path: string;
  /** A longer frame closes its socket 1009. */
  readonly maxFrameBytes: number;
  readonly log: Log;
  /** A request that came before on this connection is still being answered: whatever is written would come in the middle. */
  readonly isAnswering?: (tcp: Duplex) => boolean;
}

/** How long a peer may take to answer a close before its TCP connection is dropped. */
const closeTimeoutMs = 2000;
/** A message in more pieces than this is an attack, not a message. */
const maxFragments = 1024;
/** First byte of a frame: the whole of a text. */
const finalText = 0x81;
/** Instead of a length of up to 125 the second byte says that it follows, in two bytes or in eight. */
const mediumLength = 126;
const largeLength = 127;

/** Answers the server's WebSocket upgrades from now on. */
export function serveSockets({
  server,
  gateway,
  path,
  maxFrameBytes,
  log,
  isAnswering = () => false,
}: SocketsOptions): void {
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
    WebSocket: ClosingSocket,
  };
  const webSockets = new WebSocketServer(options);
  // Else ws answers in its own words.
  webSockets.on("wsClientError", (_error, tcp) => void answerRaw(tcp, gateway.refuse("bad-handshake")));

  server.on("upgrade", (request, tcp, head) => {
    // A peer may reset the connection at any time, also while its token is verified.
    const onError = (error: Error): void => log("debug", "upgrade failed", { error });
    tcp.on("error", onError);
    if (isAnswering(tcp)) {
      tcp.destroy();
      return;
    }
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
    if (request.headers["sec-websocket-version"] !== "13") {
      // ws takes version 8 as well, a draft of RFC 6455.
      await answerRaw(tcp, gateway.refuse("bad-handshake"));
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
      const closing: Closing = { code: undefined };
      const events = gateway.open(createSocket(webSocket, tcp, closing), decision);
      let timer: NodeJS.Timeout | undefined;
      webSocket.onClosing = events.closing;
      tcp.on("end", () => {
        events.closing(1006);
        // ws would wait for as long as the peer does not read what is still to be sent.
        timer = setTimeout(() => webSocket.terminate(), closeTimeoutMs);
      });
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
      webSocket.on("close", (code, reason) => {
        clearTimeout(timer);
        events.closed(closing.code ?? code, reason.toString());
      });
      // ws closes the socket itself; `close` follows.
      webSocket.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code?.startsWith("WS_ERR_")) {
          closing.code ??= violationCodes[error.code] ?? 1002;
        }
        log("debug", "socket error", { error });
      });
    });
  };
}

/** Tells when it begins to close, also for the peer's close frame, which ws answers by this: ws itself tells of the end only. */
class ClosingSocket extends WebSocket {
  onClosing: (code: number) => void = () => {};

  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason);
    this.onClosing(code ?? 1005);
  }
}

/** The code that this side closed with: ws reports 1006 where the peer does not answer it. */
interface Closing {
  code: number | undefined;
}

/** What ws has closed with by itself; other violations are 1002. */
const violationCodes: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
};

function createSocket(webSocket: WebSocket, tcp: Duplex, closing: Closing): Socket {
  return {
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    write(frames) {
      if (webSocket.readyState !== webSocket.OPEN) {
        return 0;
      }
      const prepared = frames.map(prepare);
      const [only] = prepared;
      tcp.write(prepared.length === 1 && only !== undefined ? only : Buffer.concat(prepared));
      return prepared.reduce((sum, bytes) => sum + bytes.length - headerLength(bytes[1] ?? 0), 0);
    },
    ping() {
      if (webSocket.readyState === webSocket.OPEN) {
        webSocket.ping();
      }
    },
    close(code, reason) {
      if (webSocket.readyState === webSocket.OPEN) {
        closing.code ??= code;
        webSocket.close(code, reason);
      }
    },
  };
}

/** The WebSocket frame of a text (RFC 6455 §5.2): of a server's, so without a mask, and the same for every socket. */
function prepare(frame: EncodedFrame): Uint8Array {
  if (frame.prepared === undefined) {
    const length = Buffer.byteLength(frame.text);
    const marker = length < mediumLength ? length : length <= 0xffff ? mediumLength : largeLength;
    const header = headerLength(marker);
    const bytes = Buffer.allocUnsafe(header + length);
    bytes[0] = finalText;
    bytes[1] = marker;
    if (marker === mediumLength) {
      bytes.writeUInt16BE(length, 2);
    } else if (marker === largeLength) {
      bytes.writeBigUInt64BE(BigInt(length), 2);
    }
    bytes.write(frame.text, header);
    frame.prepared = bytes;
  }
  return frame.prepared;
}

/** @param marker the second byte of an unmasked frame */
function headerLength(marker: number): number {
  return marker < mediumLength ? 2 : marker === mediumLength ? 4 : 10;
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
