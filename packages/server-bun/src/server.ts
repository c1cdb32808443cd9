// The gateway's HTTP port on Bun: REST and WebSockets by Bun.serve.
import type { GatewayServer, ServerOptions } from "@im-gateway/adapters/command";
import { bodyDeadline } from "./body-deadline.ts";
import { everyPath, rawPath } from "./raw-path.ts";
import { createWebSocketHandler, SocketData } from "./sockets.ts";

/** Bun's timeouts are whole seconds, at most this. */
const maxTimeoutSeconds = 255;

/** Resolves when the port is open. Rejects when it can not be had. */
export async function serveGateway(options: ServerOptions): Promise<GatewayServer> {
  const { gateway, log, wsPath = "/ws", maxFrameBytes = 64 * 1024 } = options;
  const { readTimeoutMs = 30_000, writeTimeoutMs = 30_000 } = options;

  const answer = async (
    request: Request,
    server: Bun.Server<SocketData>,
    params?: Readonly<Record<string, string>>,
  ): Promise<Response | undefined> => {
    if (!request.url.includes("://")) {
      return gateway.refuse("malformed");
    }
    const path = rawPath(request.url, params);
    if (request.headers.get("upgrade")?.toLowerCase() === "websocket") {
      return upgrade(request, server, path);
    }
    if (request.body === null) {
      return gateway.fetch(request, { rawPath: path });
    }
    // Beyond the time for the body, which is ours.
    server.timeout(request, seconds(readTimeoutMs + 5000));
    return bodyDeadline(request, request.body, readTimeoutMs, {
      answer: (whole) => gateway.fetch(whole, { rawPath: path }),
      late: () => gateway.refuse("too-slow"),
      arrived: () => server.timeout(request, seconds(writeTimeoutMs)),
    });
  };

  const upgrade = async (
    request: Request,
    server: Bun.Server<SocketData>,
    path: string,
  ): Promise<Response | undefined> => {
    const { headers } = request;
    if (path.split("?")[0] !== wsPath) {
      return refusal(await gateway.fetch(new Request(`http://localhost${wsPath}`, { headers }), { rawPath: path }));
    }
    if (headers.get("sec-websocket-version") !== "13") {
      // Bun would answer it by itself, without a body or a count.
      return gateway.refuse("bad-handshake");
    }
    const decision = await gateway.upgrade({ path, headers });
    if (!decision.accepted) {
      return refusal(decision.response);
    }
    // By itself Bun would echo the first sub-protocol that was offered, which may hold the token.
    headers.delete("sec-websocket-protocol");
    const protocol = decision.protocol === undefined ? undefined : { "sec-websocket-protocol": decision.protocol };
    const upgraded = server.upgrade(request, {
      data: new SocketData(decision),
      ...(protocol === undefined ? {} : { headers: protocol }),
    });
    return upgraded ? undefined : gateway.refuse("bad-handshake");
  };

  const routed = (request: Bun.BunRequest, server: Bun.Server<SocketData>): Promise<Response | undefined> =>
    answer(request, server, request.params);
  const server = Bun.serve<SocketData>({
    port: options.port,
    ...(options.host === undefined || options.host === "" ? {} : { hostname: options.host }),
    development: false,
    // Else Bun, not in development, would share a port that is taken with its holder.
    reusePort: false,
    idleTimeout: seconds(writeTimeoutMs),
    // The gateway counts, and has an answer of its own.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    routes: Object.fromEntries(everyPath.map((pattern) => [pattern, routed])),
    fetch: (request, server) => answer(request, server),
    websocket: createWebSocketHandler({ gateway, maxFrameBytes }),
    error(error) {
      log("error", "request failed", { error });
      return new Response(null, { status: 500, headers: { connection: "close" } });
    },
  });
  return {
    // Without a name it listens on every interface, and calls itself localhost.
    host: options.host === undefined || options.host === "" ? "::" : options.host,
    port: server.port ?? options.port,
    async close(signal) {
      const cut = (): void => {
        server.stop(true).catch((error: unknown) => log("error", "the port could not be closed", { error }));
      };
      signal.addEventListener("abort", cut, { once: true });
      if (signal.aborted) {
        cut();
      }
      await server.stop();
      signal.removeEventListener("abort", cut);
    },
  };
}

function seconds(ms: number): number {
  return Math.min(maxTimeoutSeconds, Math.max(1, Math.ceil(ms / 1000)));
}

/** An answer on a connection that asked for an upgrade: it ends with it. */
function refusal(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("connection", "close");
  return new Response(response.body, { status: response.status, headers });
}
