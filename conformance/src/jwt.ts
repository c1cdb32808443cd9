// Tokens made by hand, so that nothing of the product tests itself: HS256, or whatever a header says.
import { createHmac } from "node:crypto";

/** As every world is configured. */
export const jwtSecret = "your-secret-key";

export interface Jwt {
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly secret?: string;
  /** In place of the HMAC. */
  readonly signature?: string;
}

/** Signed with HMAC-SHA-256, whatever the header says. */
export function jwt({ header = {}, claims, secret = jwtSecret, signature }: Jwt): string {
  const signed = [{ alg: "HS256", typ: "at+jwt", ...header }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${signature ?? createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Unix seconds. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}
