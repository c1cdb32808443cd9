// The `jwt` section of the configuration, as im-logic takes it.
import type { JwtConfig } from "../config/index.ts";

export interface TokenOptions {
  /** HS256 key, as text; the gateways verify with the same. */
  readonly secret: string;
  /** `iss`; default im-logic. */
  readonly issuer?: string;
  readonly accessTokenTtlMs: number;
  readonly refreshTokenTtlMs: number;
}

export function tokenOptions({ secret, issuer, accessTokenExpireMs, refreshTokenExpireMs }: JwtConfig): TokenOptions {
  return {
    secret,
    accessTokenTtlMs: accessTokenExpireMs,
    refreshTokenTtlMs: refreshTokenExpireMs,
    ...(issuer === undefined ? {} : { issuer }),
  };
}
