// A stop under load, as clients, load balancers and other programs see it; and what control records do to sockets.
import { setTimeout as delay } from "node:timers/promises";
import { waitFor } from "@im-gateway/tools/process";
import { Kafka, logLevel } from "kafkajs";
import { describe, expect, test } from "vitest";
import {
  asRecord,
  asRecords,
  type ChatSocket,
  connect,
  direct,
  login,
  openSocket,
  refusedUpgrade,
  register,
  rest,
  type User,
} from "../client.ts";
import type { RealWorld } from "../worlds/real.ts";

const perUser = 100;
const senders = 5;
const sendEveryMs = 100;
/** Of the closes, as a busy machine sees them; the fault suite has the rule itself. */
const busiestShare = 0.4;

export function drainScenarios(world: () => RealWorld): void {
  const [a, b] = [() => world().gateways[0], () => world().gateways[1]];

  test("a stop under load: goaway and 1012 in waves, HTTP goes on, what was acked is stored, exit 0", async () => {
    const [alice, bob] = [await register(a(), "alice"), await register(b(), "bob")];
    const conversationId = await direct(a(), alice, bob);
    const sockets: ChatSocket[] = [];
    for (let round = 0; round < perUser; round += 1) {
      sockets.push(...(await Promise.all([connect(a(), alice), connect(a(), bob)])));
    }
    const closes = sockets.map(async (socket) => ({ ...(await socket.closed), atMs: performance.now() }));
    const acked: string[] = [];
    const sending = sockets.slice(-senders).map((socket) => sendUntilClosed(socket, conversationId, acked));
    await waitFor(() => acked.length > senders, { timeoutMs: 10_000, what: "the load to run" });

    const gateway = world().parts.find(({ name }) => name === "gateway-a");
    const restarted = gateway?.restart("stop");
    await Promise.race(closes);
    expect(await stateInEtcd(world(), "gateway-a")).toBe("draining");
    const ready = await fetch(`${a().http}/ready`);
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("draining")]);
    expect((await rest(a(), "GET", "/users/me", { token: alice.accessToken })).status).toBe(200);
    const refused = await refusedUpgrade(`${a().ws}?token=${alice.accessToken}`);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    const watcher = await connect(b(), bob);
    await watcher.say(conversationId, "to those who are still there");
    const delivered = (): number => sockets.filter(hasText("to those who are still there")).length;
    await waitFor(() => delivered() > 0, { timeoutMs: 10_000, what: "a delivery to who is still there" });

    const ends = await Promise.all(closes);
    expect(new Set(ends.map(({ code }) => code))).toEqual(new Set([1012]));
    for (const { frames } of sockets) {
      expect(frames.filter(({ type }) => type === "goaway").map(({ data }) => data)).toEqual([
        { reason: "restart", reconnect_after_ms: 0, reconnect_within_ms: 1000 },
      ]);
    }
    expect(busiestSecond(ends.map(({ atMs }) => atMs))).toBeLessThanOrEqual(sockets.length * busiestShare);
    await Promise.all(sending);
    await restarted;
    const stored = await storedIds(world(), bob, conversationId);
    expect(acked.filter((id) => !stored.has(id))).toEqual([]);
    await watcher.close();
  }, 90_000);

  describe("control records", () => {
    const send = async (gatewayId: string, value: object): Promise<void> => {
      const producer = new Kafka({ brokers: [...world().kafka.brokers], logLevel: logLevel.NOTHING }).producer();
      await producer.connect();
      await producer.send({ topic: `downstream-${gatewayId}`, messages: [{ key: "", value: JSON.stringify(value) }] });
      await producer.disconnect();
    };

    test("kick closes the user's sockets there 4503, with the reason, and nobody else's", async () => {
      const [alice, bob] = [await register(a(), "alice"), await register(a(), "bob")];
      const [kicked, elsewhere, other] = [
        await connect(a(), alice),
        await connect(b(), alice),
        await connect(a(), bob),
      ];
      await send("gateway-a", { type: "kick", user_id: alice.userId, data: { reason: "banned" } });
      expect((await kicked.closed).code).toBe(4503);
      expect(kicked.frames.at(-1)).toMatchObject({ type: "kicked", data: { reason: "banned" } });
      for (const socket of [elsewhere, other]) {
        socket.send("ping", {});
        await socket.next("pong");
        await socket.close();
      }
    });

    test("a logout ends the session's sockets within a second and its token at every door of every gateway", async () => {
      const user = await register(a(), "leaver");
      const stays = await login(a(), user.username);
      const sockets = [await connect(a(), user), await connect(b(), user)];
      const other = await connect(b(), stays);
      expect((await rest(a(), "POST", "/auth/logout", { token: user.accessToken, body: {} })).status).toBe(200);
      const startedMs = performance.now();
      expect((await Promise.all(sockets.map(({ closed }) => closed))).map(({ code }) => code)).toEqual([4501, 4501]);
      expect(performance.now() - startedMs).toBeLessThan(1000);
      for (const gateway of [a(), b()]) {
        expect(await rest(gateway, "GET", "/users/me", { token: user.accessToken })).toMatchObject({
          status: 401,
          body: { code: "unauthenticated", details: [{ reason: "TOKEN_REVOKED" }] },
        });
        expect((await refusedUpgrade(`${gateway.ws}?token=${user.accessToken}`)).status).toBe(401);
        const inBand = openSocket(gateway.ws);
        await inBand.opened;
        inBand.send("auth", { token: user.accessToken });
        expect((await inBand.closed).code).toBe(4501);
        expect((await rest(gateway, "GET", "/users/me", { token: stays.accessToken })).status).toBe(200);
      }
      other.send("ping", {});
      await other.next("pong");
      await other.close();
    });
  });
}

/** One message after the other; the ids of those that were acked go into `acked`. */
async function sendUntilClosed(socket: ChatSocket, conversationId: string, acked: string[]): Promise<void> {
  let open = true;
  const closed = socket.closed.then(() => {
    open = false;
  });
  while (open) {
    const said = socket.say(conversationId, "under load").then(
      (id) => acked.push(id),
      // It closed before the ack, which is all that may go wrong: an error frame would leave it waiting.
      () => closed,
    );
    await Promise.race([said, delay(10_000)]);
    await delay(sendEveryMs);
  }
}

const hasText =
  (content: string) =>
  ({ frames }: ChatSocket): boolean =>
    frames.some(({ type, data }) => type === "new-message" && data.content === content);

function busiestSecond(timesMs: readonly number[]): number {
  return Math.max(...timesMs.map((fromMs) => timesMs.filter((atMs) => atMs >= fromMs && atMs < fromMs + 1000).length));
}

/** The client_msg_ids of all messages of the conversation, once nothing is on its way any more. */
async function storedIds(world: RealWorld, reader: User, conversationId: string): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (let after = 0, more = true; more; ) {
    const path = `/conversations/${conversationId}/messages?page_size=100&after_seq_id=${after}`;
    const { body } = await rest(world.gateways[1], "GET", path, { token: reader.accessToken });
    for (const { client_msg_id, seq_id } of asRecords(body.messages)) {
      ids.add(String(client_msg_id));
      after = Number(seq_id);
    }
    more = body.has_more === true;
  }
  return ids;
}

async function stateInEtcd({ etcd }: RealWorld, gatewayId: string): Promise<unknown> {
  const response = await fetch(`http://${etcd.endpoints[0]}/v3/kv/range`, {
    method: "POST",
    body: JSON.stringify({ key: btoa(`/services/im-gateway/${gatewayId}`) }),
  });
  const [found] = asRecords(asRecord(await response.json()).kvs ?? []);
  return asRecord(asRecord(JSON.parse(atob(String(found?.value)))).metadata).state;
}
