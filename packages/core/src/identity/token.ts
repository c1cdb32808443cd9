// Access tokens: JWTs signed with the shared secret (CONTRACT §2, RFC 8725, RFC 9068).
import { Code, type ConnectError } from "@connectrpc/connect";
import { errors, jwtVerify } from "jose";
import { failure } from "../errors.ts";

/** Who a token speaks for. */
export interface Identity {
  /** `sub`. */
  readonly userId: string;
  /** `did`; "" without one. */
  readonly deviceId: string;
  /** `sid`; "" without one. */
  readonly sessionId: string;
  /** `exp`, Unix milliseconds. */
  readonly expiresAtMs: number;
  /** `jti`. */
  readonly tokenId?: string;
  /** `iat`, Unix milliseconds. */
  readonly issuedAtMs?: number;
}

export interface TokenVerifierOptions {
  /** HS256 key, as text. */
  readonly secret: string;
  /** When set, a token of another issuer is bad. */
  readonly issuer?: string;
  /** Values of the header `typ` that count as an access token. Default: at+jwt. */
  readonly acceptedTypes?: readonly string[];
  /** Whether a good token was taken back. Default: none was. */
  readonly isRevoked?: (identity: Identity) => boolean;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** Rejects with `unauthenticated`: TOKEN_EXPIRED, TOKEN_REVOKED, or TOKEN_INVALID for anything else. */
export type VerifyToken = (token: string) => Promise<Identity>;

const maxTokenLength = 8 * 1024;
// jose forgives padding and white space; a token here has one spelling only.
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** @throws ConnectError invalid_argument without a secret */
export function createTokenVerifier(options: TokenVerifierOptions): VerifyToken {
  if (options.secret === "") {
    throw failure(Code.InvalidArgument, "JWT_SECRET_MISSING", "the secret of access tokens is empty");
  }
  const { issuer, acceptedTypes = ["at+jwt"], isRevoked = () => false, now } = options;
  const types = new Set(acceptedTypes.map(normalizeType));
  // A CryptoKey, not bytes: jose refuses it for every other algorithm.
  const key = crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(options.secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );

  return async (token) => {
    if (token.length > maxTokenLength || !COMPACT_JWS.test(token)) {
      throw invalidToken();
    }
    const identity = await verify(token);
    if (isRevoked(identity)) {
      throw failure(Code.Unauthenticated, "TOKEN_REVOKED", "the access token was revoked");
    }
    return identity;
  };

  async function verify(token: string): Promise<Identity> {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, await key, {
        algorithms: ["HS256"],
        requiredClaims: ["sub", "exp"],
        currentDate: new Date(now()),
        ...(issuer === undefined ? {} : { issuer }),
      });
      const { sub, exp, did, sid, jti, iat } = payload;
      if (
        !types.has(normalizeType(protectedHeader.typ)) ||
        typeof sub !== "string" ||
        sub === "" ||
        exp === undefined ||
        // A time that no frame can say: 1e300, or nanoseconds by mistake.
        exp * 1000 > Number.MAX_SAFE_INTEGER
      ) {
        throw invalidToken();
      }
      return {
        userId: sub,
        deviceId: text(did),
        sessionId: text(sid),
        expiresAtMs: exp * 1000,
        ...(typeof jti === "string" ? { tokenId: jti } : {}),
        ...(typeof iat === "number" ? { issuedAtMs: iat * 1000 } : {}),
      };
    } catch (cause) {
      if (cause instanceof errors.JWTExpired) {
        throw failure(Code.Unauthenticated, "TOKEN_EXPIRED", "the access token has expired", { cause });
      }
      throw invalidToken(cause);
    }
  }
}

/** The token of an `Authorization: Bearer` header (RFC 6750 §2.1); undefined where there is no such header. */
export function bearerToken(authorization: string | null): string | undefined {
  const match = /^bearer(?: +(.*))?$/i.exec(authorization?.trim() ?? "");
  return match === null ? undefined : (match[1] ?? "");
}

function invalidToken(cause?: unknown): ConnectError {
  return failure(Code.Unauthenticated, "TOKEN_INVALID", "the access token is not valid", { cause });
}

/** RFC 7515 §4.1.9: compared without case, `application/` may be left out. */
function normalizeType(type: string | undefined): string {
  return (type ?? "").toLowerCase().replace(/^application\//, "");
}

function text(claim: unknown): string {
  return typeof claim === "string" ? claim : "";
}
