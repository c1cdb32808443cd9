// The Hono app: health, readiness, the documents, and every REST route of the contract behind one mount.
import { ConnectError } from "@connectrpc/connect";
import { Hono } from "hono";
import type { Observer } from "./adapters.ts";
import { type Bodies, createBodies } from "./body.ts";
import type { Counters } from "./counters.ts";
import { createDocumentRoutes, type Documents, documentPaths } from "./documents.ts";
import { toConnectError } from "./error-json.ts";
import { traceOf } from "./trace.ts";
import { errorResponse, methodLabel, otherMethod, type Transcoder } from "./transcode/transcoder.ts";

export interface HttpOptions {
  readonly gatewayId: string;
  readonly instance: string;
  readonly version: string;
  readonly transcoder: Transcoder;
  /** Why the gateway is not ready; empty when it is. */
  readonly unready: () => readonly string[];
  readonly maxBodyBytes: number;
  /** Throws while no request of the contract is taken. */
  readonly admit: () => void;
  readonly counters: Pick<Counters, "refused">;
  /** By their path. */
  readonly pages?: ReadonlyMap<string, Page> | undefined;
  /** Absent: the paths of the documents are none of ours. */
  readonly documents?: (() => Promise<Documents>) | undefined;
  readonly observer?: Observer | undefined;
}

/** A static answer. */
export interface Page {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpBindings {
  Bindings: {
    /** Path and query as they came, where the runtime's Request holds a normalised one. */
    readonly rawPath?: string;
  };
}

export function createHttp(options: HttpOptions): Hono<HttpBindings> {
  const {
    gatewayId,
    instance,
    version,
    transcoder,
    unready,
    maxBodyBytes,
    counters,
    admit,
    pages = new Map<string, Page>(),
    documents,
    observer,
  } = options;
  const bodies = createBodies(maxBodyBytes, counters);
  const app = new Hono<HttpBindings>({
    // Not the normalised one: `/x/../health` is no path of ours.
    getPath: (request, given) => (given?.env?.rawPath ?? rawPathOf(request)).split("?")[0] ?? "",
  });

  // The transcoder tells of its own routes.
  const own = ["/health", "/ready", ...pages.keys(), ...(documents === undefined ? [] : documentPaths)];
  for (const path of own) {
    app.use(path, async (c, next) => {
      const startedMs = performance.now();
      await next();
      const method = methodLabel(c.req.raw.method);
      observer?.answered(method, path, c.res.status, (performance.now() - startedMs) / 1000);
    });
  }

  app.get("/health", (c) => c.json({ status: "ok", gateway_id: gatewayId, instance, version }));

  app.get("/ready", (c) => {
    const reasons = unready();
    return c.json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503);
  });

  for (const [path, { headers, body }] of pages) {
    app.get(path, () => new Response(body, { headers }));
  }
  if (documents !== undefined) {
    const answer = createDocumentRoutes(documents);
    for (const path of documentPaths) {
      app.get(path, (c) => answer(path, c.req.raw));
    }
  }

  app.on(["ALL"], own, ({ req: { raw } }) => otherMethod(raw.method, ["GET"], traceOf(raw.headers.get("traceparent"))));

  app.all("*", (c) => {
    const request = c.req.raw;
    try {
      admit();
    } catch (thrown) {
      return unread(request, thrown, observer);
    }
    return transcode(transcoder, request, c.env?.rawPath ?? rawPathOf(request), bodies, observer);
  });

  return app;
}

/** The transcoder's answer to a request whose body is read here. */
export async function transcode(
  transcoder: Transcoder,
  request: Request,
  rawPath: string,
  bodies: Bodies,
  observer: Observer | undefined,
): Promise<Response> {
  try {
    return await transcoder.handle({
      method: request.method,
      path: rawPath,
      headers: request.headers,
      body: await bodies.read(request),
      signal: request.signal,
    });
  } catch (thrown) {
    // The body is too large, or broke off: then nobody gets this answer.
    return unread(request, thrown, observer);
  } finally {
    bodies.done(request);
  }
}

/** Of a body not all was read, so nothing can follow on this connection. */
function unread(request: Request, thrown: unknown, observer: Observer | undefined): Response {
  const { traceId } = traceOf(request.headers.get("traceparent"));
  const response = errorResponse(toConnectError(thrown), traceId, request.body === null ? {} : { connection: "close" });
  if (thrown instanceof ConnectError) {
    observer?.answered(methodLabel(request.method), "none", response.status, 0);
  }
  return response;
}

/** Path and query where nobody knows how they came. */
export function rawPathOf(request: Request): string {
  const { pathname, search } = new URL(request.url);
  return pathname + search;
}
