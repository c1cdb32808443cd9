import { Code } from "@connectrpc/connect";
import { decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, secret, startLogic, type TestLogic } from "../../test/start-logic.ts";

let nowMs: number;
let im: TestLogic;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  im = await startLogic({ now: () => nowMs });
});
afterEach(() => im.stop());

const invalidRefreshToken = { code: Code.Unauthenticated, reason: "INVALID_REFRESH_TOKEN", fields: [] };

describe("register", () => {
  it("answers tokens by the contract, and the user", async () => {
    const pair = await im.auth.register({ username: "Ada", password: "password123", deviceId: "d1", platform: "web" });
    const userId = pair.user?.userId ?? "";
    expect(pair).toMatchObject({ tokenType: "Bearer", expiresIn: 60n });
    expect(pair.user).toMatchObject({ username: "Ada", nickname: "Ada", avatarUrl: "", isGuest: false });
    expect(pair.user?.createdAt).toBe(BigInt(nowMs / 1000));
    expect(decodeProtectedHeader(pair.accessToken)).toEqual({ alg: "HS256", typ: "at+jwt" });
    expect(decodeProtectedHeader(pair.refreshToken)).toEqual({ alg: "HS256", typ: "rt+jwt" });
    const claims = decodeJwt(pair.accessToken);
    expect(claims).toEqual({
      sub: userId,
      sid: expect.any(String),
      did: "d1",
      plt: "web",
      jti: expect.any(String),
      iss: "im-logic",
      iat: nowMs / 1000,
      exp: nowMs / 1000 + 60,
    });
    const key = new TextEncoder().encode(secret);
    await jwtVerify(pair.accessToken, key, { currentDate: new Date(nowMs) });
  });

  it("takes a name once, whatever its case", async () => {
    await im.auth.register({ username: "Ångström", password: "password" });
    const again = im.auth.register({ username: "ÅNGSTRÖM", password: "password" });
    expect(await failureOf(again)).toEqual({ code: Code.AlreadyExists, reason: "USERNAME_TAKEN", fields: [] });
  });

  it("gives one of two that ask at the same time the name", async () => {
    const calls = [1, 2].map(() => im.auth.register({ username: "eve", password: "password" }));
    const statuses = (await Promise.allSettled(calls)).map(({ status }) => status);
    expect(statuses.sort()).toEqual(["fulfilled", "rejected"]);
  });

  it.each([
    [{ username: "" }, "username"],
    [{ username: "a b" }, "username"],
    [{ username: "a\u0000" }, "username"],
    [{ username: "a\u200bb" }, "username"],
    [{ username: "x".repeat(65) }, "username"],
    [{ password: "12345" }, "password"],
    [{ password: "x".repeat(129) }, "password"],
    [{ nickname: " " }, "nickname"],
    [{ nickname: "x".repeat(65) }, "nickname"],
    [{ deviceId: "x".repeat(129) }, "device_id"],
  ])("refuses %j", async (part, field) => {
    const call = im.auth.register({ username: "ada", password: "password", ...part });
    expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
  });

  it("counts characters, not UTF-16 units", async () => {
    const { user } = await im.auth.register({
      username: "😀".repeat(64),
      password: "😀".repeat(6),
      nickname: "测试用户",
    });
    expect(user?.nickname).toBe("测试用户");
  });
});

describe("login", () => {
  it("makes each plain login a device and a session of its own", async () => {
    await im.auth.register({ username: "ada", password: "password" });
    const logins = [
      await im.auth.login({ username: "ADA", password: "password" }),
      await im.auth.login({ username: "ada", password: "password" }),
    ];
    const [first, second] = logins.map(({ accessToken }) => decodeJwt(accessToken));
    expect(first?.sub).toBe(second?.sub);
    expect(first?.did).not.toBe(second?.did);
    expect(first?.sid).not.toBe(second?.sid);
  });

  it("says the same of a wrong password, an unknown name and a guest's", async () => {
    await im.auth.register({ username: "ada", password: "password" });
    const guest = await im.auth.guest({});
    for (const username of ["ada", "nobody", guest.user?.username ?? ""]) {
      const call = im.auth.login({ username, password: "wrong" });
      expect(await failureOf(call)).toEqual({ code: Code.Unauthenticated, reason: "INVALID_CREDENTIALS", fields: [] });
    }
  });

  it("names both fields that are missing", async () => {
    const { code, fields } = await failureOf(im.auth.login({}));
    expect({ code, fields }).toEqual({ code: Code.InvalidArgument, fields: ["username", "password"] });
  });
});

describe("guest", () => {
  it("is an account with a name of its own", async () => {
    const { user } = await im.auth.guest({ nickname: "Someone" });
    expect(user).toMatchObject({ nickname: "Someone", isGuest: true });
    expect((await im.auth.guest({})).user?.nickname).toBe("Guest");
  });
});

describe("refresh", () => {
  it("keeps session and device, and every token works once", async () => {
    const first = await im.auth.guest({ deviceId: "d1" });
    const second = await im.auth.refresh({ refreshToken: first.refreshToken });
    const third = await im.auth.refresh({ refreshToken: second.refreshToken });
    expect(third.user).toEqual(first.user);
    const [before, after] = [decodeJwt(first.accessToken), decodeJwt(third.accessToken)];
    expect(after).toMatchObject({ sub: before.sub, sid: before.sid, did: "d1" });
    expect(after.jti).not.toBe(before.jti);
  });

  it("ends the whole session when an old token comes again", async () => {
    const first = await im.auth.guest({});
    const second = await im.auth.refresh({ refreshToken: first.refreshToken });
    expect(await failureOf(im.auth.refresh({ refreshToken: first.refreshToken }))).toEqual({
      code: Code.Unauthenticated,
      reason: "REFRESH_TOKEN_REUSED",
      fields: [],
    });
    expect(await failureOf(im.auth.refresh({ refreshToken: second.refreshToken }))).toEqual(invalidRefreshToken);
  });

  it("lets one of two that use a token at the same time win, and then ends the session", async () => {
    const { refreshToken } = await im.auth.guest({});
    const results = await Promise.allSettled([1, 2].map(() => im.auth.refresh({ refreshToken })));
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const winner = results.find((result) => result.status === "fulfilled");
    const next = im.auth.refresh({ refreshToken: winner?.value.refreshToken ?? "" });
    expect(await failureOf(next)).toEqual(invalidRefreshToken);
  });

  it("refuses what is no refresh token of ours", async () => {
    const { accessToken, refreshToken, user } = await im.auth.guest({});
    const foreign = (key: string, issuer: string): Promise<string> =>
      new SignJWT({ sub: user?.userId ?? "", sid: String(decodeJwt(refreshToken).sid), jti: "x" })
        .setProtectedHeader({ alg: "HS256", typ: "rt+jwt" })
        .setIssuer(issuer)
        .setExpirationTime(nowMs / 1000 + 60)
        .sign(new TextEncoder().encode(key));
    const tokens = [
      accessToken,
      "garbage",
      `${refreshToken}x`,
      await foreign("another secret", "im-logic"),
      await foreign(secret, "another issuer"),
    ];
    for (const token of tokens) {
      expect(await failureOf(im.auth.refresh({ refreshToken: token }))).toEqual(invalidRefreshToken);
    }
    await im.auth.refresh({ refreshToken });
  });

  it("refuses a token that has expired", async () => {
    const { refreshToken } = await im.auth.guest({});
    nowMs += 600_000;
    expect(await failureOf(im.auth.refresh({ refreshToken }))).toEqual(invalidRefreshToken);
  });
});

describe("logout", () => {
  it("ends the caller's session and no other, and always succeeds", async () => {
    const { user, ...mine } = await im.auth.guest({});
    const other = await im.auth.guest({});
    const sessionId = String(decodeJwt(mine.accessToken).sid);
    await im.auth.logout({});
    await im.auth.logout({ callerId: other.user?.userId ?? "", sessionId });
    const { refreshToken } = await im.auth.refresh({ refreshToken: mine.refreshToken });
    await im.auth.logout({ callerId: user?.userId ?? "", sessionId });
    await im.auth.logout({ callerId: user?.userId ?? "", sessionId });
    expect(await failureOf(im.auth.refresh({ refreshToken }))).toEqual(invalidRefreshToken);
    await im.auth.refresh({ refreshToken: other.refreshToken });
  });
});

describe("a session that ends before its time", () => {
  const atGateway = (gatewayId: string) => ({
    event: "connected",
    userId: "somebody",
    connectionId: gatewayId,
    gatewayId,
    gatewayEpoch: 1n,
    seq: 1n,
  });
  const revocations = async (count: number) => {
    await im.waitFor(count, ({ record }) => record.type === "revoke");
    await im.settled();
    return im.received
      .filter(({ record }) => record.type === "revoke")
      .map(({ gatewayId, record: { userId, sid, timestamp } }) => [gatewayId, userId, sid, timestamp])
      .sort();
  };

  it.each<[string, (user: string, sid: string, refreshToken: string) => Promise<unknown>]>([
    ["by logout", (callerId, sessionId) => im.auth.logout({ callerId, sessionId })],
    [
      "by a refresh token that is used again",
      async (_user, _sid, refreshToken) => {
        await im.auth.refresh({ refreshToken });
        await failureOf(im.auth.refresh({ refreshToken }));
      },
    ],
  ])("%s is revoked once, at every gateway", async (_name, end) => {
    await im.sendUserEvents(atGateway("g1"), atGateway("g2"));
    await im.settled();
    const { user, accessToken, refreshToken } = await im.auth.guest({});
    const userId = user?.userId ?? "";
    const sid = String(decodeJwt(accessToken).sid);
    await end(userId, sid, refreshToken);
    await im.auth.logout({ callerId: userId, sessionId: sid });
    const timestamp = BigInt(Math.floor(nowMs / 1000));
    expect(await revocations(2)).toEqual([
      ["g1", userId, sid, timestamp],
      ["g2", userId, sid, timestamp],
    ]);
  });
});

it("makes the demo accounts once", async () => {
  await im.logic.createDemoAccounts();
  const accounts = await im.logic.createDemoAccounts();
  expect(accounts.map(({ username }) => username)).toEqual(["alice", "bob"]);
  for (const account of accounts) {
    const { user } = await im.auth.login(account);
    expect(user?.username).toBe(account.username);
  }
});
