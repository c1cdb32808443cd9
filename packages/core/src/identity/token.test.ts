import { ConnectError } from "@connectrpc/connect";
import { SignJWT, UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { reasonOf } from "../errors.ts";
import { bearerToken, createTokenVerifier } from "./token.ts";
import { upgradeCredential } from "./upgrade.ts";

const secret = "your-secret-key";
const nowMs = 1_700_000_000_000;
const nowSeconds = nowMs / 1000;
const verify = createTokenVerifier({ secret, issuer: "im", now: () => nowMs });
const claims = { sub: "u1", sid: "s1", did: "d1", iss: "im", exp: nowSeconds + 60 };

function sign(
  payload: Record<string, unknown>,
  header: { alg?: string; typ?: string } = {},
  key = secret,
): Promise<string> {
  return new SignJWT(payload)
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt", ...header })
    .sign(new TextEncoder().encode(key));
}

const { sub: _sub, ...withoutSub } = claims;
const { exp: _exp, ...withoutExp } = claims;

test("a good token says who it is", async () => {
  expect(await verify(await sign(claims))).toEqual({
    userId: "u1",
    deviceId: "d1",
    sessionId: "s1",
    expiresAtMs: nowMs + 60_000,
  });
});

test.each([
  ["application/at+jwt", "application/at+jwt"],
  ["AT+JWT", "AT+JWT"],
])("typ %s is at+jwt", async (_name, typ) => {
  expect(await verify(await sign(claims, { typ }))).toMatchObject({ userId: "u1" });
});

test("sub, exp and typ are enough where no issuer is configured", async () => {
  const open = createTokenVerifier({ secret, now: () => nowMs });
  expect(await open(await sign({ sub: "u1", exp: nowSeconds + 1 }))).toEqual({
    userId: "u1",
    deviceId: "",
    sessionId: "",
    expiresAtMs: nowMs + 1000,
  });
});

test("without a secret there is nothing to verify by", () => {
  expect(() => createTokenVerifier({ secret: "", now: () => nowMs })).toThrow(ConnectError);
});

describe("refused", () => {
  test.each([
    ["expired", () => sign({ ...claims, exp: nowSeconds - 1 }), "TOKEN_EXPIRED"],
    ["expired this very second", () => sign({ ...claims, exp: nowSeconds }), "TOKEN_EXPIRED"],
    ["not valid yet", () => sign({ ...claims, nbf: nowSeconds + 60 }), "TOKEN_INVALID"],
    ["another key", () => sign(claims, {}, "another-key"), "TOKEN_INVALID"],
    ["another algorithm", () => sign(claims, { alg: "HS512" }), "TOKEN_INVALID"],
    ["no signature", async () => new UnsecuredJWT(claims).encode(), "TOKEN_INVALID"],
    ["a refresh token", () => sign(claims, { typ: "rt+jwt" }), "TOKEN_INVALID"],
    ["typ JWT", () => sign(claims, { typ: "JWT" }), "TOKEN_INVALID"],
    [
      "no typ",
      () => new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(secret)),
      "TOKEN_INVALID",
    ],
    ["an exp beyond all time", () => sign({ ...claims, exp: 1e300 }), "TOKEN_INVALID"],
    ["an exp in nanoseconds", () => sign({ ...claims, exp: nowMs * 1e6 }), "TOKEN_INVALID"],
    ["no exp", () => sign(withoutExp), "TOKEN_INVALID"],
    ["no sub", () => sign(withoutSub), "TOKEN_INVALID"],
    ["an empty sub", () => sign({ ...claims, sub: "" }), "TOKEN_INVALID"],
    ["a numeric sub", () => sign({ ...claims, sub: 7 }), "TOKEN_INVALID"],
    ["another issuer", () => sign({ ...claims, iss: "x" }), "TOKEN_INVALID"],
    ["10 KB", () => sign({ ...claims, pad: "x".repeat(10_000) }), "TOKEN_INVALID"],
    ["padding", async () => `${await sign(claims)}=`, "TOKEN_INVALID"],
    ["nothing", async () => "", "TOKEN_INVALID"],
    ["two parts", async () => "a.b", "TOKEN_INVALID"],
  ])("%s", async (_name, token, reason) => {
    const refused: unknown = await verify(await token()).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConnectError);
    expect(refused instanceof ConnectError && reasonOf(refused)).toBe(reason);
  });
});

test.each([
  ["Bearer abc", "abc"],
  ["bearer   abc ", "abc"],
  ["Bearer ", ""],
  ["Basic abc", undefined],
  ["abc", undefined],
  [null, undefined],
])("Authorization: %s", (header, token) => {
  expect(bearerToken(header)).toBe(token);
});

test.each([
  ["/ws", {}, undefined, undefined],
  ["/ws?token=a", { authorization: "Bearer b" }, "a", undefined],
  ["/ws?token=", {}, "", undefined],
  ["/ws", { authorization: "Bearer b", "sec-websocket-protocol": "bearer.c, im.v1.json" }, "b", "im.v1.json"],
  ["/ws", { "sec-websocket-protocol": "bearer.c" }, "c", undefined],
  ["/ws", { "sec-websocket-protocol": "im.v1.json,other" }, undefined, "im.v1.json"],
])("upgrade of %s with %j", (path, headers, token, protocol) => {
  expect(upgradeCredential(path, new Headers(headers))).toEqual({ token, protocol });
});
