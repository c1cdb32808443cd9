// The documents that the gateway serves: what they say is what it does.
import { CloseCode } from "@im-gateway/core";
import { asyncapi, openapi } from "@im-gateway/proto/documents";
import { waitFor } from "@im-gateway/tools/process";
import { beforeAll, describe, expect, test } from "vitest";
import { asRecord, asRecords, connect, direct, register, type User } from "../client.ts";
import { answersAsDocumented, fitsAsyncapi, type Operation, operationsOf, validates } from "../documents.ts";
import type { World } from "../world.ts";
import { given } from "./example-world.ts";

export function documentScenarios(world: () => World): void {
  const gateway = (): World["gateways"][0] => world().gateways[0];

  describe("documents", () => {
    let alice: User | undefined;
    beforeAll(async () => {
      alice = await register(gateway(), "alice");
    });

    test.each(operationsOf("openapi").map((operation): [string, Operation] => [operation.id, operation]))(
      "the example of %s is answered as the document says",
      async (_id, operation) => {
        const example = await given(gateway(), known(alice), operation);
        for (const accept of operation.answerTypes) {
          await answersAsDocumented(operation, accept, gateway().http, example);
        }
      },
    );

    // Drain ends the gateway: scenarios/push.ts has one of its own for it.
    test.each(
      operationsOf("internal-openapi")
        .filter(({ id }) => id !== "PushService_Drain")
        .map((operation): [string, Operation] => [operation.id, operation]),
    )("the example of %s is answered on the internal port as the document says", async (_id, operation) => {
      const example = await given(gateway(), known(alice), operation);
      const bob = await connect(gateway(), { accessToken: example.bobsToken });
      for (const accept of operation.answerTypes) {
        await answersAsDocumented(operation, accept, gateway().internal, example);
      }
      // It was about somebody who is here: what has no rows fits any schema.
      switch (operation.id) {
        case "PushService_Push":
        case "PushService_Broadcast":
          await bob.next("online-status");
          break;
        case "PushService_Kick":
          expect((await bob.closed).code).toBe(4503);
          break;
      }
      await bob.close();
    });

    test.each<[string, number, RequestInit]>([
      ["/api/v1/users/me", 401, {}],
      ["/api/v1/nowhere", 404, {}],
      ["/api/v1/auth/login", 405, {}],
      ["/api/v1/auth/login", 406, { method: "POST", headers: { accept: "text/plain" } }],
      ["/api/v1/auth/login", 400, { method: "POST", body: "{}", headers: { "content-type": "application/json" } }],
      ["/api/v1/auth/login", 415, { method: "POST", body: "<a/>", headers: { "content-type": "text/xml" } }],
      ["/api/v1/auth/login", 413, { method: "POST", body: " ".repeat(2 ** 20 + 1) }],
    ])("%s fails with %i and the Error of the document", async (path, status, init) => {
      const answer = await fetch(gateway().http + path, init);
      expect(answer.status).toBe(status);
      validates("/components/schemas/Error", await answer.json());
    });

    test.each([
      ["/openapi.json", "application/json"],
      ["/asyncapi.json", "application/json"],
      ["/docs", "text/html; charset=utf-8"],
    ])("%s is kept by who has it, and answers GET and HEAD only", async (path, type) => {
      const url = gateway().http + path;
      const answer = await fetch(url);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, type]);
      const etag = answer.headers.get("etag") ?? "";
      expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
      expect((await fetch(url, { headers: { "if-none-match": `"x", W/${etag}` } })).status).toBe(304);
      expect((await fetch(url, { headers: { "if-none-match": '"x"' } })).status).toBe(200);
      const head = await fetch(url, { method: "HEAD" });
      expect([head.status, await head.text(), head.headers.get("etag")]).toEqual([200, "", etag]);
      const post = await fetch(url, { method: "POST" });
      expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    });

    test("every frame that comes is as /asyncapi.json has it", async () => {
      const bob = await register(gateway(), "bob");
      const [caller, peer] = [await connect(gateway(), known(alice)), await connect(gateway(), bob)];
      const conversationId = await direct(gateway(), known(alice), bob);
      await caller.say(conversationId, "hello");
      await caller.next("message-stored");
      const sent = [
        caller.send("mark-read", { conversation_id: conversationId, seq_id: 1 }),
        caller.send("call", { method: "im.logic.v1.UserService/GetMe", request: {} }),
        caller.send("auth", { token: known(alice).accessToken }),
        caller.send("ping", {}),
        caller.send("no-such-type", {}),
      ];
      for (const id of sent) {
        await waitFor(() => caller.frames.some(({ message_id }) => message_id === id), {
          timeoutMs: 10_000,
          what: "an answer",
        });
      }
      await peer.next("new-message");
      const frames = [...caller.frames, ...peer.frames];
      const types = new Set(frames.map(({ type }) => type));
      for (const type of [
        "connected",
        "message-ack",
        "message-stored",
        "ack",
        "reply",
        "authenticated",
        "pong",
        "error",
        "new-message",
      ]) {
        expect(types).toContain(type);
      }
      for (const frame of frames) {
        fitsAsyncapi(`/components/messages/server.${frame.type}/payload`, frame);
      }
      await Promise.all([caller.close(), peer.close()]);
    });

    test("each of our close codes is in /asyncapi.json, with what a client does then", () => {
      const rows = asRecords(asRecord(asRecord(asRecord(asyncapi).channels).socket)["x-close-codes"]);
      for (const code of Object.values(CloseCode)) {
        expect(rows.map((row) => row.code)).toContain(code);
      }
      const final = rows.filter(({ reconnect }) => reconnect === false).map(({ code }) => Number(code));
      expect(final.filter((code) => code < 4500)).toEqual([1000, 1003, 1007, 1009]);
      expect(rows.filter(({ code }) => Number(code) >= 4500).every(({ reconnect }) => reconnect === false)).toBe(true);
    });

    test("both are those of the contract", async () => {
      expect(await (await fetch(`${gateway().http}/openapi.json`)).json()).toEqual(openapi);
      expect(await (await fetch(`${gateway().http}/asyncapi.json`)).json()).toEqual(asyncapi);
    });

    test("the page loads nothing, and its policy lets it load nothing", async () => {
      const answer = await fetch(`${gateway().http}/docs`);
      expect(answer.headers.get("content-security-policy")).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+';/,
      );
      const html = await answer.text();
      expect(html.match(/<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)=/g)).toBeNull();
      expect(html.match(/@import|url\(/g)).toBeNull();
      const anchors = [...html.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
      const ids = [...html.matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id);
      expect(anchors.length).toBeGreaterThan(50);
      expect(anchors.filter((id) => !ids.includes(id))).toEqual([]);
      expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
      for (const operation of operationsOf("openapi")) {
        expect(ids).toContain(operation.id);
      }
    });
  });
}

function known(user: User | undefined): User {
  if (user === undefined) {
    throw new Error("nobody is there to call");
  }
  return user;
}
