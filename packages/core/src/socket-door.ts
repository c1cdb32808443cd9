// Where sockets come in: an upgrade is answered, and what was accepted becomes a connection.
import { Code } from "@connectrpc/connect";
import type { Log, Observer, Socket, SocketEvents } from "./adapters.ts";
import { logFailure } from "./calls.ts";
import type { Connection } from "./connection.ts";
import { type Counters, countClose } from "./counters.ts";
import { toConnectError } from "./error-json.ts";
import { CloseCode, failure } from "./errors.ts";
import type { Revocations } from "./identity/revocations.ts";
import type { Identity, VerifyToken } from "./identity/token.ts";
import { upgradeCredential } from "./identity/upgrade.ts";
import type { Admission } from "./limits/admission.ts";
import type { Connections } from "./session/connections.ts";
import { traceOf } from "./trace.ts";
import { errorResponse } from "./transcode/transcoder.ts";

/** The answer to a WebSocket upgrade. */
export type Upgrade =
  | {
      readonly accepted: true;
      /** Absent: the socket has to say who it is by a first `auth` frame. */
      readonly identity: Identity | undefined;
      /** The sub-protocol to answer with. */
      readonly protocol: string | undefined;
    }
  | { readonly accepted: false; readonly response: Response };

export interface SocketDoorOptions {
  /** Why no sockets are taken; undefined while they are. */
  readonly notRunning: () => string | undefined;
  readonly verifyToken: VerifyToken;
  readonly revocations: Revocations;
  readonly admission: Admission;
  readonly connections: Connections;
  /** A text frame of an open connection. */
  readonly receive: (connection: Connection, text: string) => void;
  readonly counters: Counters;
  readonly observer: Observer | undefined;
  readonly log: Log;
  readonly now: () => number;
}

export interface SocketDoor {
  /** @param request path and query, and the headers, of a WebSocket upgrade; the caller has found that the path is the configured one */
  upgrade(request: { readonly path: string; readonly headers: Headers }): Promise<Upgrade>;
  /** Takes over a socket whose upgrade was accepted; the caller passes on what happens to it. */
  open(socket: Socket, upgrade: Upgrade & { readonly accepted: true }): SocketEvents;
}

export function createSocketDoor(options: SocketDoorOptions): SocketDoor {
  const { notRunning, verifyToken, revocations, admission, connections, receive, counters, observer, log, now } =
    options;

  /** What has changed since the upgrade was accepted. */
  const reasonToClose = (identity: Identity | undefined): readonly [CloseCode, string] | undefined => {
    if (notRunning() !== undefined) {
      return [CloseCode.SERVICE_RESTART, "restart"];
    }
    if (identity !== undefined && revocations.has(identity)) {
      return [CloseCode.TOKEN_INVALID, "token revoked"];
    }
    const refused = admission.refusesOpened(connections, identity !== undefined);
    return refused ? [CloseCode.TRY_AGAIN_LATER, "overloaded"] : undefined;
  };

  return {
    async upgrade({ path, headers }) {
      try {
        const why = notRunning();
        if (why !== undefined) {
          throw failure(Code.Unavailable, "NOT_READY", why, { retryAfterMs: 1000 });
        }
        const { token, protocol } = upgradeCredential(path, headers);
        admission.admitSocket(connections, token !== undefined);
        return { accepted: true, protocol, identity: token === undefined ? undefined : await verifyToken(token) };
      } catch (thrown) {
        const error = toConnectError(thrown);
        const trace = traceOf(headers.get("traceparent"));
        logFailure(log, error, "upgrade", trace);
        const response = errorResponse(error, trace.traceId);
        observer?.answered("GET", path.split("?")[0] ?? "", response.status, 0);
        return { accepted: false, response };
      }
    },

    open(socket, { identity }) {
      const why = reasonToClose(identity);
      // Nobody is told of a connection that never was.
      const connection = connections.open(socket, why === undefined ? identity : undefined);
      if (why !== undefined) {
        connections.close(connection, ...why);
      }
      return {
        text(data, bytes) {
          // What comes after the close is read by nobody, however much it is.
          if (connection.state.t !== "closed") {
            counters.bytesIn += bytes;
            receive(connection, data);
          }
        },
        binary: () => connections.close(connection, CloseCode.UNSUPPORTED_DATA, "text frames only"),
        activity() {
          connection.lastInputMs = now();
        },
        closing: (code) => connections.departing(connection, `closed ${code}`),
        closed(code, reason) {
          countClose(counters, connection.state.t === "closed" ? connection.state.code : undefined, code);
          connections.departed(connection, reason || `closed ${code}`);
        },
      };
    },
  };
}
