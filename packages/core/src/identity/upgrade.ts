// The credential of a WebSocket upgrade (CONTRACT §4): `?token=`, `Authorization: Bearer` or the sub-protocol `bearer.<jwt>`.
import { bearerToken } from "./token.ts";

export const subProtocol = "im.v1.json";

export interface UpgradeCredential {
  /** Undefined: none was given, a first `auth` frame has to follow. "" is a bad one. */
  readonly token: string | undefined;
  /** The sub-protocol to answer with; never the one that holds the token. */
  readonly protocol: string | undefined;
}

/** @param path raw path and query of the request */
export function upgradeCredential(path: string, headers: Headers): UpgradeCredential {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  const query = new URLSearchParams(path.split("?").slice(1).join("?"));
  return {
    token:
      query.get("token") ??
      bearerToken(headers.get("authorization")) ??
      offered.find((name) => name.startsWith("bearer."))?.slice("bearer.".length),
    protocol: offered.includes(subProtocol) ? subProtocol : undefined,
  };
}
