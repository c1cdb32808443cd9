// Register, log in, refresh, and what is refused.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { login, password, register, rest } from "../client.ts";
import type { World } from "../world.ts";

export function accountScenarios(world: () => World): void {
  const gateway = (): World["gateways"][0] => world().gateways[0];

  describe("accounts", () => {
    test("the seed's examples, to the letter", async () => {
      const registered = await rest(gateway(), "POST", "/auth/register", {
        body: { username: "testuser", password: "password123", nickname: "测试用户" },
      });
      expect(registered.status).toBe(201);
      expect(registered.body).toEqual({
        access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
        refresh_token: expect.stringMatching(/./),
        token_type: "Bearer",
        expires_in: 86_400,
        user: {
          user_id: expect.stringMatching(/./),
          username: "testuser",
          nickname: "测试用户",
          avatar_url: "",
          is_guest: false,
          created_at: expect.any(Number),
        },
      });
      const loggedIn = await rest(gateway(), "POST", "/auth/login", {
        body: { username: "testuser", password: "password123" },
      });
      expect(loggedIn.status).toBe(200);
      expect(loggedIn.body.user).toEqual(registered.body.user);
      const refused = await rest(gateway(), "POST", "/auth/refresh", { body: { refresh_token: "refresh_token_here" } });
      expect(refused.status).toBe(401);
      expect(refused.body.code).toBe("unauthenticated");
    });

    test("an account made through one gateway logs in through the other", async () => {
      const user = await register(gateway(), "traveller");
      const again = await login(world().gateways[1], user.username);
      expect(again.userId).toBe(user.userId);
      const me = await rest(world().gateways[1], "GET", "/users/me", { token: again.accessToken });
      expect(me).toMatchObject({ status: 200, body: { user_id: user.userId, username: user.username } });
    });

    test("a taken name and a wrong password are refused", async () => {
      const user = await register(gateway(), "taken");
      const taken = await rest(gateway(), "POST", "/auth/register", { body: { username: user.username, password } });
      expect(taken).toMatchObject({
        status: 409,
        body: { code: "already_exists", trace_id: expect.stringMatching(/./) },
      });
      const wrong = await rest(gateway(), "POST", "/auth/login", {
        body: { username: user.username, password: "not-the-password" },
      });
      expect(wrong).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
      const unknown = await rest(gateway(), "POST", "/auth/login", { body: { username: randomUUID(), password } });
      expect(unknown.body).toMatchObject({ code: wrong.body.code, message: wrong.body.message });
    });

    test("a refresh token works once; used again it ends its session", async () => {
      const user = await register(gateway(), "refresher");
      const first = await rest(gateway(), "POST", "/auth/refresh", { body: { refresh_token: user.refreshToken } });
      expect(first.status).toBe(200);
      expect(first.body.refresh_token).not.toBe(user.refreshToken);
      const reused = await rest(gateway(), "POST", "/auth/refresh", { body: { refresh_token: user.refreshToken } });
      expect(reused.status).toBe(401);
      const ended = await rest(gateway(), "POST", "/auth/refresh", {
        body: { refresh_token: first.body.refresh_token },
      });
      expect(ended.status).toBe(401);
      const access = await rest(gateway(), "POST", "/auth/refresh", { body: { refresh_token: user.accessToken } });
      expect(access.status).toBe(401);
    });

    test("logout ends the session and always answers {}", async () => {
      const user = await register(gateway(), "leaver");
      const out = await rest(gateway(), "POST", "/auth/logout", { token: user.accessToken, body: {} });
      expect(out).toMatchObject({ status: 200, body: {} });
      const after = await rest(gateway(), "POST", "/auth/refresh", { body: { refresh_token: user.refreshToken } });
      expect(after.status).toBe(401);
      for (const token of [undefined, "nonsense"]) {
        expect(await rest(gateway(), "POST", "/auth/logout", { token, body: {} })).toMatchObject({
          status: 200,
          body: {},
        });
      }
    });

    test.each([
      ["no token", undefined],
      ["nonsense", "nonsense"],
      ["a refresh token", "refresh"],
    ])("REST with %s is 401", async (_name, kind) => {
      const user = await register(gateway(), "refused");
      const token = kind === "refresh" ? user.refreshToken : kind;
      const answer = await rest(gateway(), "GET", "/users/me", { token });
      expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
    });

    test("bad requests name the fields", async () => {
      const missing = await rest(gateway(), "POST", "/auth/login", { body: { username: "somebody" } });
      expect(missing).toMatchObject({ status: 400, body: { code: "invalid_argument" } });
      expect(JSON.stringify(missing.body.details)).toContain('"field":"password"');
      const unknown = await rest(gateway(), "POST", "/auth/login", { body: { username: "a", password, extra: 1 } });
      expect(unknown.status).toBe(400);
      expect(JSON.stringify(unknown.body.details)).toContain('"field":"extra"');
      const user = await register(gateway(), "impostor");
      const identity = await rest(gateway(), "PATCH", "/users/me", {
        token: user.accessToken,
        body: { caller_id: "someone-else", nickname: "x" },
      });
      expect(identity.status).toBe(400);
      expect(JSON.stringify(identity.body.details)).toContain('"field":"caller_id"');
    });

    test("routes that do not exist, and methods that a route does not have", async () => {
      expect(await rest(gateway(), "GET", "/nowhere")).toMatchObject({ status: 404, body: { code: "not_found" } });
      const answer = await rest(gateway(), "DELETE", "/auth/login");
      expect(answer).toMatchObject({ status: 405, body: { code: "unimplemented" } });
      expect(answer.headers.get("allow")).toContain("POST");
    });
  });
}
