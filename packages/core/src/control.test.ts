// Control records and revocations through the gateway's public doors.
import { describe, expect, test } from "vitest";
import { as, type Recorded, record, start, token, typesOf } from "../test/start-gateway.ts";

const nowSeconds = Math.floor(Date.now() / 1000);

/** Sockets by name, each with a token of its own. */
const cast = {
  phone: { user: "alice", claims: { did: "phone", sid: "s-phone", jti: "t-phone", iat: nowSeconds - 60 } },
  tablet: { user: "alice", claims: { did: "tablet", sid: "s-tablet", jti: "t-tablet", iat: nowSeconds - 60 } },
  later: { user: "alice", claims: { did: "phone", sid: "s-later", jti: "t-later", iat: nowSeconds + 60 } },
  undated: { user: "alice", claims: { did: "watch" } },
  bob: { user: "bob", claims: { did: "phone", sid: "s-bob", jti: "t-bob", iat: nowSeconds - 60 } },
} as const;
type Name = keyof typeof cast;
const names = Object.keys(cast) as Name[];
const tokenOf = (name: Name): Promise<string> => token(cast[name].user, cast[name].claims);

async function stage() {
  const running = await start();
  const sockets = new Map<Name, Recorded>();
  for (const name of names) {
    sockets.set(name, await running.open(`?token=${await tokenOf(name)}`));
  }
  const closedBy = (code: number): Name[] => names.filter((name) => sockets.get(name)?.closes[0] === code);
  const send = (value: object): Promise<void> => running.bus.producer.send(record({ conversation_id: "", ...value }));
  return { ...running, sockets, closedBy, send };
}

const timestamp = nowSeconds;
test.each<[string, object, number, Name[]]>([
  ["kick a user", { type: "kick", user_id: "alice" }, 4503, ["phone", "tablet", "later", "undated"]],
  ["kick a device", { type: "kick", user_id: "alice", device_id: "phone" }, 4503, ["phone", "later"]],
  ["kick a session", { type: "kick", sid: "s-tablet" }, 4503, ["tablet"]],
  ["kick a token of another user", { type: "kick", user_id: "bob", jti: "t-phone" }, 4503, []],
  ["revoke a session", { type: "revoke", sid: "s-phone", timestamp }, 4501, ["phone"]],
  ["revoke a token", { type: "revoke", jti: "t-bob", timestamp }, 4501, ["bob"]],
  ["revoke a later session", { type: "revoke", user_id: "alice", sid: "s-later", timestamp }, 4501, ["later"]],
  ["revoke a user's, until now", { type: "revoke", user_id: "alice", timestamp }, 4501, ["phone", "tablet", "undated"]],
  [
    "revoke a device's, until now",
    { type: "revoke", user_id: "alice", device_id: "phone", timestamp },
    4501,
    ["phone"],
  ],
])("%s: %j closes %i", async (_name, value, code, closed) => {
  const { send, closedBy, sockets, bus } = await stage();
  await send(value);
  // Delivered after it.
  await bus.producer.send(record({ broadcast: true, type: "typing", data: {} }));
  await expect
    .poll(() => names.filter((name) => typesOf(sockets.get(name) as Recorded).at(-1) === "typing"))
    .toEqual(names.filter((name) => !closed.includes(name)));
  expect(closedBy(code)).toEqual(closed);
});

test("kicked says why and by whom; named connections are spared", async () => {
  const { send, sockets, closedBy } = await stage();
  const spared = sockets.get("tablet")?.frames[0]?.data.connection_id;
  const data = { reason: "one device at a time", by_device: "tablet" };
  await send({ type: "kick", user_id: "alice", exclude_connection_ids: [spared], data });
  await expect.poll(() => closedBy(4503)).toEqual(["phone", "later", "undated"]);
  expect(sockets.get("phone")?.frames.at(-1)).toMatchObject({ type: "kicked", data });
});

test("assert: every connection is told of anew", async () => {
  const { send, userEvents } = await stage();
  await expect.poll(() => userEvents.length).toBe(names.length);
  await send({ type: "assert" });
  await expect.poll(() => userEvents.length).toBe(2 * names.length);
  expect(new Set(userEvents.map(({ connection_id }) => connection_id)).size).toBe(names.length);
  expect(new Set(userEvents.map(({ seq }) => seq)).size).toBe(2 * names.length);
});

test.each([
  ["kick", {}],
  ["revoke", { target_user_id: "alice" }],
  ["kick", { user_id: "alice", data: { reason: 7 } }],
])("%s with %j is poison", async (type, value) => {
  const { bus, send, closedBy, logged } = await stage();
  const buried: string[] = [];
  const stop = new AbortController();
  void bus.consumer.run({
    topics: [{ name: "dead-letter", partitions: 1 }],
    groupId: "test",
    deliver: (records) => {
      buried.push(...records.map(({ headers }) => headers.reason ?? ""));
    },
    onReady: () => {},
    signal: stop.signal,
  });
  await send({ type, ...value });
  await expect.poll(() => buried).toEqual([expect.stringMatching(/^[A-Z_]+: /)]);
  expect(closedBy(4503)).toEqual([]);
  expect(logged).toContain("warn downstream record skipped");
  stop.abort();
});

describe("a revoked token is refused afterwards", () => {
  const revoked = async () => {
    const staged = await stage();
    await staged.send({ type: "revoke", sid: "s-phone", timestamp });
    await expect.poll(() => staged.closedBy(4501)).toEqual(["phone"]);
    return staged;
  };

  test.each([
    ["the revoked one", "phone", 401],
    ["another of the same user", "tablet", 101],
  ] as const)("at the upgrade: %s", async (_name, name, status) => {
    const { gateway } = await revoked();
    const upgrade = await gateway.upgrade({ path: `/ws?token=${await tokenOf(name)}`, headers: new Headers() });
    expect(upgrade.accepted ? 101 : upgrade.response.status).toBe(status);
    expect(upgrade.accepted ? "" : JSON.stringify(await upgrade.response.json())).toContain(
      status === 401 ? '"reason":"TOKEN_REVOKED"' : "",
    );
  });

  test("in band", async () => {
    const { open } = await revoked();
    const socket = await open();
    socket.send("auth", { token: await tokenOf("phone") });
    await expect.poll(() => socket.closes).toEqual([4501]);
  });

  test("over REST", async () => {
    const { gateway } = await revoked();
    const get = async (name: Name): Promise<Response> =>
      gateway.fetch(
        new Request("http://x/api/v1/users/me", { headers: { authorization: `Bearer ${await tokenOf(name)}` } }),
      );
    const refused = await get("phone");
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({ code: "unauthenticated", details: [{ reason: "TOKEN_REVOKED" }] });
    expect((await get("tablet")).status).toBe(200);
  });

  test("between its upgrade and its socket", async () => {
    const { gateway, send, closedBy, open } = await stage();
    const upgrade = await gateway.upgrade({ path: `/ws${await as("carol")}`, headers: new Headers() });
    await send({ type: "revoke", user_id: "carol", timestamp: nowSeconds + 60 });
    await send({ type: "kick", user_id: "bob" });
    await expect.poll(() => closedBy(4503)).toEqual(["bob"]);
    if (!upgrade.accepted) {
      throw new Error("refused");
    }
    const closes: number[] = [];
    gateway.open({ bufferedBytes: 0, write: () => 0, ping() {}, close: (code) => closes.push(code) }, upgrade);
    expect(closes).toEqual([4501]);
    expect((await open(`?token=${await tokenOf("tablet")}`)).closes).toEqual([]);
  });
});
