// What the gateway tells about its contract: OpenAPI, AsyncAPI, and a page of both for people.
import type { JsonObject } from "@bufbuild/protobuf";
import { toConnectError } from "./error-json.ts";
import { traceOf } from "./trace.ts";
import { errorResponse } from "./transcode/transcoder.ts";

export interface Documents {
  readonly openapi: JsonObject;
  readonly asyncapi: JsonObject;
  readonly page: { readonly html: string; readonly contentSecurityPolicy: string };
}

/** The contract's own, of im.logic.v1; loaded when somebody asks for the first time. */
export const contractDocuments = (): Promise<Documents> => import("@im-gateway/proto/documents");

export const documentPaths = ["/openapi.json", "/asyncapi.json", "/docs"] as const;
export type DocumentPath = (typeof documentPaths)[number];

interface Stored {
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Answers GET and HEAD of the paths; what was loaded once is kept. */
export function createDocumentRoutes(
  load: () => Promise<Documents>,
): (path: DocumentPath, request: Request) => Promise<Response> {
  let loaded: Promise<Readonly<Record<DocumentPath, Stored>>> | undefined;

  return async (path, request) => {
    loaded ??= load().then(stored);
    let documents: Readonly<Record<DocumentPath, Stored>>;
    try {
      documents = await loaded;
    } catch (cause) {
      // The next one may have more luck.
      loaded = undefined;
      const { traceId } = traceOf(request.headers.get("traceparent"));
      return errorResponse(toConnectError(cause), traceId);
    }
    const { text, headers } = documents[path];
    const known = (request.headers.get("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
    return known.includes("*") || known.includes(headers.etag ?? "")
      ? new Response(null, { status: 304, headers })
      : new Response(text, { headers });
  };
}

async function stored({ openapi, asyncapi, page }: Documents): Promise<Readonly<Record<DocumentPath, Stored>>> {
  return {
    "/openapi.json": await entry(JSON.stringify(openapi), { "content-type": "application/json" }),
    "/asyncapi.json": await entry(JSON.stringify(asyncapi), { "content-type": "application/json" }),
    "/docs": await entry(page.html, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": page.contentSecurityPolicy,
      "referrer-policy": "no-referrer",
    }),
  };
}

/** Kept by clients, but asked for at each use: another version of the gateway may have another contract. */
async function entry(text: string, headers: Readonly<Record<string, string>>): Promise<Stored> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const etag = [...new Uint8Array(hash, 0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return {
    text,
    headers: { ...headers, etag: `"${etag}"`, "cache-control": "no-cache", "x-content-type-options": "nosniff" },
  };
}
