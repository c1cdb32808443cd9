// The door for back ends: PushService on the internal port, as REST and by Connect.
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PushService } from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { type Answer, asRecord, asRecords, connect, openSocket, password, register, rest } from "../client.ts";
import type { GatewayAddress, World } from "../world.ts";
import { freeGateway, launch } from "../worlds/program.ts";

const deadlineMs = 10_000;

export function pushScenarios(world: () => World): void {
  const gateway = (): GatewayAddress => world().gateways[0];

  describe("the internal port", () => {
    test.each([
      ["as REST", "rest"],
      ["by Connect", "connect"],
    ] as const)("a push reaches all connections of who is here, and names who is not, %s", async (_name, door) => {
      const [here, away] = [await register(gateway(), "here"), await register(gateway(), "away")];
      const sockets = [await connect(gateway(), here), await connect(gateway(), here)];
      const data = { user_id: away.userId, online: true, last_seen: 5 };
      const user_ids = [here.userId, away.userId, here.userId];
      const answer =
        door === "rest"
          ? (await internal(gateway(), "POST", "/push", { body: { user_ids, frame: { type: "online-status", data } } }))
              .body
          : await pushClient(gateway()).push({ userIds: user_ids, frame: { type: "online-status", data } });
      expect(answer).toMatchObject({ delivered: [here.userId], offline: [away.userId] });
      for (const socket of sockets) {
        expect(await socket.next("online-status")).toMatchObject({ message_id: "", data });
        await socket.close();
      }
    });

    test("a broadcast reaches everybody here", async () => {
      const users = await Promise.all(["one", "two"].map((name) => register(gateway(), name)));
      const sockets = await Promise.all(users.map((user) => connect(gateway(), user)));
      const data = { user_id: "broadcaster", online: false, last_seen: 1 };
      const { status, body } = await internal(gateway(), "POST", "/broadcast", {
        body: { frame: { type: "online-status", data } },
      });
      expect(status).toBe(200);
      expect(body.delivered).toBeGreaterThanOrEqual(2);
      for (const socket of sockets) {
        await socket.next("online-status", (frame) => frame.data.user_id === "broadcaster");
        await socket.close();
      }
    });

    test("connections are listed by page, and kicked by device", async () => {
      const user = await register(gateway(), "listed");
      const { body } = await rest(gateway(), "POST", "/auth/login", {
        body: { username: user.username, password, device_id: "tablet" },
      });
      const tablet = await connect(gateway(), { accessToken: String(body.access_token) });
      const others = [await connect(gateway(), user), await connect(gateway(), user)];
      const ids: unknown[] = [];
      for (let token = "", pages = 0; pages === 0 || token !== ""; pages += 1) {
        const query = `?user_id=${user.userId}&page_size=2&page_token=${token}`;
        const page = (await internal(gateway(), "GET", `/connections${query}`)).body;
        ids.push(...asRecords(page.connections).map(({ connection_id }) => connection_id));
        token = String(page.next_page_token);
        expect(pages).toBeLessThan(2);
      }
      expect(ids).toEqual([tablet, ...others].map(({ connected }) => connected.connection_id).sort());
      const kick = { user_id: user.userId, device_id: "tablet", reason: "lost" };
      expect((await internal(gateway(), "POST", "/kick", { body: kick })).body).toEqual({ kicked: 1 });
      expect((await tablet.next("kicked")).data).toEqual({ reason: "lost" });
      expect((await tablet.closed).code).toBe(4503);
      const all = await internal(gateway(), "POST", "/kick", { body: { user_id: user.userId } });
      expect(all.body).toEqual({ kicked: 2 });
      for (const socket of others) {
        expect((await socket.closed).code).toBe(4503);
      }
    });

    test.each<[string, string, unknown, string | undefined]>([
      ["no frame", "/push", { user_ids: ["a"] }, "frame"],
      ["a frame without a type", "/push", { user_ids: ["a"], frame: { data: {} } }, undefined],
      ["a type that is no frame", "/push", { user_ids: ["a"], frame: { type: "gossip" } }, undefined],
      [
        "data that does not fit",
        "/push",
        { user_ids: ["a"], frame: { type: "typing", data: { typing: "yes" } } },
        "typing",
      ],
      ["nobody", "/push", { user_ids: [], frame: { type: "pong" } }, "user_ids"],
      [
        "too many",
        "/push",
        { user_ids: Array.from({ length: 1001 }, (_, index) => `u${index}`), frame: { type: "pong" } },
        "user_ids",
      ],
      ["an unknown field", "/kick", { user_id: "a", colour: "red" }, "colour"],
      ["nobody to kick", "/kick", {}, "user_id"],
    ])("%s is refused", async (_name, path, body, field) => {
      const answer = await internal(gateway(), "POST", path, { body });
      expect(answer).toMatchObject({ status: 400, body: { code: "invalid_argument" } });
      const violations = asRecords(answer.body.details).flatMap((detail) =>
        asRecords(detail.field_violations ?? []).map((violation) => violation.field),
      );
      expect(violations).toEqual(field === undefined ? violations : [field]);
    });

    test("a bad request by Connect breaks the same rules", async () => {
      const refused = await pushClient(gateway())
        .kick({ userId: "" })
        .catch((error: unknown) => ConnectError.from(error));
      expect(refused).toMatchObject({ code: Code.InvalidArgument, rawMessage: "user_id: is required" });
    });

    test("is no port for clients or browsers, and the clients' port is none for back ends", async () => {
      const body = { user_ids: ["a"], frame: { type: "pong" } };
      const page = await internal(gateway(), "POST", "/push", { body, headers: { origin: "http://localhost" } });
      expect(page).toMatchObject({ status: 403, body: { details: [{ reason: "BROWSER_REFUSED" }] } });
      for (const path of ["/internal/v1/push", "/im.gateway.v1.PushService/Push"]) {
        const answer = await post(`${gateway().http}${path}`, body, {});
        expect(answer.status, path).toBe(404);
      }
      expect((await post(`${gateway().internal}/api/v1/auth/guest`, {}, {})).status).toBe(404);
      const user = await register(gateway(), "curious");
      const socket = await connect(gateway(), user);
      socket.send("call", { method: "im.gateway.v1.PushService/Broadcast", request: {} });
      expect((await socket.next("error")).data).toMatchObject({ code: "unimplemented", reason: "UNKNOWN_METHOD" });
      await socket.close();
    });

    test("a token is asked for where there is one; Drain ends the process as SIGTERM does", async () => {
      const { gateway: own, settings } = await freeGateway();
      const token = "a-token-for-back-ends";
      const program = launch("guarded", world().command, [...settings, `internal.token=${token}`]);
      await program.waitForLine(/"message":"listening"/, 30_000);
      for (const authorization of [undefined, "Bearer", "Bearer wrong", `Basic ${token}`]) {
        const headers = authorization === undefined ? undefined : { authorization };
        const answer = await internal(own, "POST", "/drain", { body: {}, headers });
        expect(answer, authorization).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
      }
      const refused = await pushClient(own)
        .drain({})
        .catch((error: unknown) => ConnectError.from(error));
      expect(refused).toMatchObject({
        code: Code.Unauthenticated,
        rawMessage: "an Authorization: Bearer header with internal.token is required",
      });
      const guest = asRecord((await rest(own, "POST", "/auth/guest", { body: {} })).body);
      const socket = openSocket(`${own.ws}?token=${guest.access_token}`);
      await socket.next("connected");
      const headers = { authorization: `Bearer ${token}` };
      expect(await internal(own, "POST", "/drain", { body: {}, headers })).toMatchObject({ status: 200, body: {} });
      await socket.next("goaway");
      expect((await socket.closed).code).toBe(1012);
      expect((await program.exited).code).toBe(0);
    });
  });
}

/** One REST request; `path` is below `/internal/v1`. */
function internal(
  gateway: GatewayAddress,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> | undefined } = {},
): Promise<Answer> {
  const url = `${gateway.internal}/internal/v1${path}`;
  return method === "GET" ? answerOf(fetch(url)) : post(url, options.body, options.headers ?? {});
}

function post(url: string, body: unknown, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return answerOf(
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(deadlineMs),
    }),
  );
}

async function answerOf(answering: Promise<Response>): Promise<Answer> {
  const response = await answering;
  return { status: response.status, headers: response.headers, body: asRecord(await response.json()) };
}

function pushClient(gateway: GatewayAddress): Client<typeof PushService> {
  const transport = createConnectTransport({
    baseUrl: gateway.internal,
    httpVersion: "1.1",
    defaultTimeoutMs: deadlineMs,
  });
  return createClient(PushService, transport);
}
