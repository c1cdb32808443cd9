// An endpoint of im-logic that a test has in its hands: it relays gRPC to the real one, or does what a sick one does.
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";

export type Conduct =
  /** Every call to the real im-logic. */
  | "relay"
  /** Connections and pings are answered, calls never. */
  | "hang"
  /** Every call UNAVAILABLE. */
  | "error"
  /** Relays, and ends each connection by GOAWAY after a few calls. */
  | "goaway";

export interface LogicEndpoint {
  readonly port: number;
  conduct: Conduct;
  /** Calls that came, whatever became of them. */
  readonly calls: number;
  close(): void;
}

const callsBeforeGoaway = 5;
const statusUnavailable = "14";

/** @param target `host:port` of the real one */
export async function startLogicEndpoint(target: string): Promise<LogicEndpoint> {
  const sessions = new Map<ServerHttp2Session, number>();
  let upstream: ClientHttp2Session | undefined;
  let conduct: Conduct = "relay";
  let calls = 0;

  const connected = (): ClientHttp2Session => {
    if (upstream === undefined || upstream.closed || upstream.destroyed) {
      upstream = connect(`http://${target}`);
      // Each stream on it learns of it as well.
      upstream.on("error", () => upstream?.destroy());
    }
    return upstream;
  };
  const unavailable = (stream: ServerHttp2Stream): void => {
    if (stream.destroyed || stream.headersSent) stream.destroy();
    else
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": statusUnavailable },
        { endStream: true },
      );
  };
  const relay = (stream: ServerHttp2Stream, headers: Record<string, unknown>): void => {
    const request = connected().request(
      Object.fromEntries(
        Object.entries(headers).filter(([name]) => name !== ":authority" && name !== "host"),
      ) as Record<string, string>,
    );
    stream.pipe(request);
    request.on("response", (answer, flags) => {
      if (stream.destroyed) return;
      // Without a body the trailers are the headers.
      const endStream = (flags & 1) !== 0;
      stream.respond({ ...answer }, { endStream, waitForTrailers: !endStream });
      if (!endStream) request.pipe(stream);
    });
    let trailers: Record<string, string | string[] | undefined> = {};
    request.on("trailers", (some) => {
      trailers = { ...some };
    });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    request.on("error", () => unavailable(stream));
    stream.on("error", () => request.close());
    stream.on("close", () => request.close());
  };

  const server = createServer();
  server.on("session", (session) => {
    sessions.set(session, 0);
    session.on("error", () => session.destroy());
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    calls += 1;
    stream.on("error", () => stream.destroy());
    if (conduct === "hang") return;
    if (conduct === "error") {
      unavailable(stream);
      return;
    }
    relay(stream, headers);
    const { session } = stream;
    if (conduct !== "goaway" || session === undefined) return;
    const itsCalls = (sessions.get(session as ServerHttp2Session) ?? 0) + 1;
    sessions.set(session as ServerHttp2Session, itsCalls);
    // GOAWAY; what is under way is answered first.
    if (itsCalls >= callsBeforeGoaway) session.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get conduct() {
      return conduct;
    },
    set conduct(next) {
      conduct = next;
    },
    get calls() {
      return calls;
    },
    close() {
      upstream?.destroy();
      for (const session of sessions.keys()) session.destroy();
      server.close();
    },
  };
}
