// Bad tokens through every door: REST, the three ways of an upgrade, and the first `auth` frame.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect, login, openSocket, register, rest, type User } from "../../client.ts";
import { exchange, type WireAnswer } from "../../exchange.ts";
import { inSeconds, jwt } from "../../jwt.ts";
import { keepSecret } from "../../output.ts";
import { changes, closes, poll, scrape } from "../../scrape.ts";
import type { GatewayAddress, World } from "../../world.ts";
import { startBystanders } from "./bystanders.ts";
import { expectErrorFrame, expectRefusal } from "./refusal.ts";
import { type StrictGateway, startStrictGateway, strict } from "./strict-gateway.ts";

const hour = 3600;

interface BadToken {
  readonly make: (user: User) => string;
  /** Default: TOKEN_INVALID, and close code 4501. */
  readonly expired?: boolean;
}

function claimsOf({ userId }: User): Readonly<Record<string, unknown>> {
  return { sub: userId, did: "d", sid: "s", jti: "j", iss: "im-logic", iat: inSeconds(0), exp: inSeconds(hour) };
}

/** A good token but for these claims, this header or this key; `undefined` takes a claim away. */
function changed(claims: Readonly<Record<string, unknown>>, rest: Omit<Parameters<typeof jwt>[0], "claims"> = {}) {
  return (user: User): string => jwt({ claims: { ...claimsOf(user), ...claims }, ...rest });
}

const bad: Readonly<Record<string, BadToken>> = {
  expired: { make: changed({ exp: inSeconds(-1) }), expired: true },
  "expired long ago": { make: changed({ exp: 1 }), expired: true },
  "not valid yet": { make: changed({ nbf: inSeconds(hour) }) },
  "of another key": { make: changed({}, { secret: "another key" }) },
  "of an empty key": { make: changed({}, { secret: "" }) },
  "alg none without a signature": { make: changed({}, { header: { alg: "none" }, signature: "" }) },
  "alg none with a signature": { make: changed({}, { header: { alg: "none" } }) },
  "RS256 with an HMAC": { make: changed({}, { header: { alg: "RS256" } }) },
  "HS512 with an HMAC of 256": { make: changed({}, { header: { alg: "HS512" } }) },
  "a critical header that nobody knows": { make: changed({}, { header: { crit: ["fly"], fly: true } }) },
  "without exp": { make: changed({ exp: undefined }) },
  "exp as text": { make: changed({ exp: "tomorrow" }) },
  "exp beyond all time": { make: changed({ exp: 1e300 }) },
  "without sub": { make: changed({ sub: undefined }) },
  "an empty sub": { make: changed({ sub: "" }) },
  "sub as a number": { make: changed({ sub: 7 }) },
  "a refresh token": { make: ({ refreshToken }) => refreshToken },
  "typ JWT": { make: changed({}, { header: { typ: "JWT" } }) },
  "without typ": { make: changed({}, { header: { typ: undefined } }) },
  "a payload that was changed": {
    make: (user) => {
      const [header, , signature] = changed({})(user).split(".");
      const [, payload] = changed({ sub: "somebody-else" })(user).split(".");
      return [header, payload, signature].join(".");
    },
  },
  "a signature that was cut": { make: (user) => changed({})(user).slice(0, -2) },
  "no JWT": { make: () => "nonsense" },
  "three parts that are none": { make: () => "a.b.c" },
  empty: { make: () => "" },
  "10 KB": { make: changed({ pad: "x".repeat(10 * 1024) }) },
};

/** How a token gets to the gateway; what the gateway says. */
const doors: Readonly<Record<string, (gateway: GatewayAddress, token: string) => Promise<WireAnswer>>> = {
  REST: ({ http }, token) =>
    exchange(http, { method: "GET", path: "/api/v1/users/me", headers: { authorization: `Bearer ${token}` } }),
  "?token=": ({ http }, token) => upgrade(http, `?token=${encodeURIComponent(token)}`, {}),
  "Authorization of an upgrade": ({ http }, token) => upgrade(http, "", { authorization: `Bearer ${token}` }),
  "the sub-protocol bearer": ({ http }, token) =>
    upgrade(http, "", { "sec-websocket-protocol": `im.v1.json, bearer.${token}` }),
};

function upgrade(http: string, query: string, headers: Readonly<Record<string, string>>): Promise<WireAnswer> {
  return exchange(http, {
    method: "GET",
    path: `/ws${query}`,
    headers: {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
    },
  });
}

function refusalOf({ expired = false }: BadToken) {
  return { status: 401, code: "unauthenticated", reason: expired ? "TOKEN_EXPIRED" : "TOKEN_INVALID" } as const;
}

export function badTokenScenarios(world: () => World): void {
  const gateway = (): World["gateways"][0] => world().gateways[0];

  describe("bad tokens", () => {
    const bystanders = startBystanders(world);
    let user: User;
    beforeAll(async () => {
      user = await register(gateway(), "stranger");
    });

    test("the same token without the fault is good", async () => {
      const token = changed({})(user);
      expect((await rest(gateway(), "GET", "/users/me", { token })).body.user_id).toBe(user.userId);
      const socket = await connect(gateway(), { accessToken: token });
      expect(socket.connected.user_id).toBe(user.userId);
      await socket.close();
    });

    describe.each(Object.entries(bad))("%s", (_name, badToken) => {
      test.each(Object.entries(doors))("by %s: 401", async (door, knock) => {
        const token = badToken.make(user);
        keepSecret("a bad token", token);
        const before = await scrape(gateway().metrics);
        const answer = await knock(gateway(), token);
        expectRefusal(answer, refusalOf(badToken), token);
        expect(answer.headers["www-authenticate"]).toBe("Bearer");
        expect(answer.headers["sec-websocket-protocol"]).toBeUndefined();
        const route = door === "REST" ? "/api/v1/users/me" : "/ws";
        expect(changes("http_requests_total", before, await scrape(gateway().metrics))).toEqual({
          [`method="GET",route="${route}",status="401"`]: 1,
        });
      });

      test("in the first auth frame: a close", async () => {
        const token = badToken.make(user);
        const code = badToken.expired ? 4003 : 4501;
        const before = await scrape(gateway().metrics);
        const socket = openSocket(gateway().ws);
        await socket.opened;
        socket.send("auth", { token });
        const closed = await socket.closed;
        expect(closed.code).toBe(code);
        expect(socket.frames).toEqual([]);
        if (token !== "") {
          expect(closed.reason).not.toContain(token);
        }
        await expect.poll(closes(gateway(), before), poll).toEqual({ [`code="${code}"`]: 1 });
      });
    });

    test("no token over REST: 401, and a word on what is missing", async () => {
      const answer = await exchange(gateway().http, { method: "GET", path: "/api/v1/users/me" });
      expectRefusal(answer, { status: 401, code: "unauthenticated", reason: "TOKEN_MISSING" });
    });

    test("a public route does not look at a bad token", async () => {
      const headers = { "content-type": "application/json", authorization: "Bearer nonsense" };
      const request = { method: "POST", path: "/api/v1/auth/logout", headers, body: "{}" };
      expect((await exchange(gateway().http, request)).status).toBe(200);
    });

    test("a frame before auth is refused, and auth may still come", async () => {
      const socket = openSocket(gateway().ws);
      await socket.opened;
      const early = socket.send("mark-read", { conversation_id: "c", seq_id: 1 });
      const error = await socket.next("error", ({ message_id }) => message_id === early);
      expectErrorFrame(error, { code: "unauthenticated", reason: "TOKEN_MISSING" });
      socket.send("auth", { token: user.accessToken });
      expect((await socket.next("connected")).data.user_id).toBe(user.userId);
      await socket.close();
    });

    test.each([
      ["another user's", async () => (await register(gateway(), "other")).accessToken, 4501],
      ["another device's", async () => (await login(gateway(), user.username)).accessToken, 4501],
      ["an expired", async () => changed({ exp: 1 })(user), 4003],
      ["no", async () => "", 4501],
    ])("%s token in band on an open socket: a close", async (_name, token, code) => {
      const socket = await connect(gateway(), user);
      socket.send("auth", { token: await token() });
      expect((await socket.closed).code).toBe(code);
    });

    bystanders.addTest();
  });

  describe("a gateway with an issuer and little patience", () => {
    let strictGateway: StrictGateway;
    beforeAll(async () => {
      strictGateway = await startStrictGateway(world().command);
    });
    afterAll(() => strictGateway.stop());
    const user: User = { userId: "u", username: "", accessToken: "", refreshToken: "" };

    test.each([
      ["another issuer", "im-logic"],
      ["no issuer", undefined],
    ])("a token of %s is refused at every door", async (_name, iss) => {
      const token = changed({ iss })(user);
      for (const knock of Object.values(doors)) {
        expectRefusal(await knock(strictGateway, token), refusalOf({ make: () => token }), token);
      }
      const socket = openSocket(strictGateway.ws);
      await socket.opened;
      socket.send("auth", { token });
      expect((await socket.closed).code).toBe(4501);
    });

    test("a token of its own issuer is good", async () => {
      const socket = await connect(strictGateway, { accessToken: changed({ iss: strict.issuer })(user) });
      await socket.close();
    });

    test("no auth frame in time closes 4001", async () => {
      const before = await scrape(strictGateway.metrics);
      const openedMs = performance.now();
      const socket = openSocket(strictGateway.ws);
      expect((await socket.closed).code).toBe(4001);
      expect(performance.now() - openedMs).toBeGreaterThan(strict.authTimeoutMs * 0.9);
      await expect.poll(closes(strictGateway, before), poll).toEqual({ 'code="4001"': 1 });
    });
  });
}
