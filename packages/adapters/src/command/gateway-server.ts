// What a runtime supplies so that clients can reach a gateway: one open port for HTTP and WebSockets.
import type { Gateway, Log } from "@im-gateway/core";

export interface ServerOptions {
  readonly gateway: Gateway;
  /** Default: all interfaces. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly log: Log;
  /** Path of the WebSocket. Default: /ws. */
  readonly wsPath?: string;
  /** Default: 64 KiB. */
  readonly maxFrameBytes?: number;
  /** Time for a whole request to arrive. Default: 30 s. */
  readonly readTimeoutMs?: number;
  /** Time that an answer may stand still. Default: 30 s. */
  readonly writeTimeoutMs?: number;
}

export interface GatewayServer {
  readonly host: string;
  readonly port: number;
  /** Takes no new connection; resolves when the last one has ended. Idle ones end at once, all others when the signal aborts. */
  close(signal: AbortSignal): Promise<void>;
}

/** Resolves when the port is open. Rejects when it can not be had. */
export type ServeGateway = (options: ServerOptions) => Promise<GatewayServer>;
