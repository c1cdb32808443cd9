// The two kinds of JWT that a session hands out (CONTRACT §2), HS256.
import { Code } from "@connectrpc/connect";
import type { TokenOptions } from "@im-gateway/adapters/command";
import { failure } from "@im-gateway/core";
import { errors, type JWTPayload, jwtVerify, SignJWT } from "jose";

/** What a pair of tokens speaks for. */
export interface TokenSubject {
  readonly userId: string;
  readonly sessionId: string;
  readonly deviceId: string;
  /** "" for none. */
  readonly platform: string;
}

export interface SignedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Seconds that the access token lives. */
  readonly expiresIn: number;
}

export interface RefreshClaims {
  readonly sessionId: string;
  readonly jti: string;
}

export interface Tokens {
  readonly refreshTokenTtlMs: number;
  /** @param refreshJti `jti` of the refresh token: the session knows by it which one is the newest */
  sign(subject: TokenSubject, refreshJti: string): Promise<SignedTokens>;
  /** Rejects with unauthenticated INVALID_REFRESH_TOKEN: expired, forged, of another issuer, or an access token. */
  readRefresh(token: string): Promise<RefreshClaims>;
}

const accessType = "at+jwt";
const refreshType = "rt+jwt";

export function createTokens(options: TokenOptions, now: () => number): Tokens {
  const { accessTokenTtlMs, refreshTokenTtlMs, issuer = "im-logic" } = options;
  const key = new TextEncoder().encode(options.secret);

  function sign(type: string, claims: JWTPayload, ttlMs: number, jti: string): Promise<string> {
    const issuedAt = Math.floor(now() / 1000);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", typ: type })
      .setIssuer(issuer)
      .setJti(jti)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + Math.floor(ttlMs / 1000))
      .sign(key);
  }

  return {
    refreshTokenTtlMs,

    async sign({ userId, sessionId, deviceId, platform }, refreshJti) {
      const claims = { sub: userId, sid: sessionId, did: deviceId, ...(platform === "" ? {} : { plt: platform }) };
      const [accessToken, refreshToken] = await Promise.all([
        sign(accessType, claims, accessTokenTtlMs, crypto.randomUUID()),
        sign(refreshType, { sub: userId, sid: sessionId }, refreshTokenTtlMs, refreshJti),
      ]);
      return { accessToken, refreshToken, expiresIn: Math.floor(accessTokenTtlMs / 1000) };
    },

    async readRefresh(token) {
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: ["HS256"],
          typ: refreshType,
          issuer,
          requiredClaims: ["exp", "jti", "sid"],
          currentDate: new Date(now()),
        });
        const { jti, sid } = payload;
        if (typeof jti === "string" && typeof sid === "string") {
          return { sessionId: sid, jti };
        }
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) {
          throw error;
        }
      }
      throw failure(Code.Unauthenticated, "INVALID_REFRESH_TOKEN", "the refresh token is not valid");
    },
  };
}
