// A restart of each part: what was acked is there afterwards, and messages flow again.
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { asRecords, type ChatSocket, connect, direct, register, rest, type User } from "../client.ts";
import type { GatewayAddress, World } from "../world.ts";

const restartTimeoutMs = 120_000;

export function restartScenarios(world: () => World, partNames: readonly string[]): void {
  describe("restarts", () => {
    test.each(partNames.flatMap((name) => (["stop", "kill"] as const).map((how) => ({ name, how }))))(
      "$name, by $how",
      async ({ name, how }) => {
        const part = world().parts.find((candidate) => candidate.name === name);
        if (part === undefined) {
          throw new Error(`this world has no part ${name}`);
        }
        const [first, second] = world().gateways;
        const [alice, bob] = [await register(first, "alice"), await register(second, "bob")];
        const conversationId = await direct(first, alice, bob);
        let [a, b] = [await connect(first, alice), await connect(second, bob)];
        await a.say(conversationId, "before");
        await b.next("new-message", ({ data }) => data.content === "before");

        await part.restart(how);

        a = await stillOpen(a, first, alice);
        b = await stillOpen(b, second, bob);
        if (!part.holdsSockets) {
          expect(a.frames.filter(({ type }) => type === "connected")).toHaveLength(1);
        }
        await sayUntilAcked(a, conversationId, "after");
        await b.next("new-message", ({ data }) => data.content === "after");
        const history = await rest(second, "GET", `/conversations/${conversationId}/messages`, {
          token: bob.accessToken,
        });
        const messages = asRecords(history.body.messages);
        expect(messages.map(({ content }) => content)).toEqual(["before", "after"]);
        expect(messages.map(({ seq_id }) => seq_id)).toEqual([1, 2]);
        await Promise.all([a.close(), b.close()]);
      },
      restartTimeoutMs,
    );
  });
}

/** The socket if its gateway kept it, else a new one. */
async function stillOpen(socket: ChatSocket, gateway: GatewayAddress, user: User): Promise<ChatSocket> {
  const gone = await Promise.race([
    socket.closed.then(() => true),
    socket.next("pong", pingOf(socket)).then(
      () => false,
      () => true,
    ),
  ]);
  return gone ? connect(gateway, user) : socket;
}

function pingOf(socket: ChatSocket): ({ message_id }: { readonly message_id: string }) => boolean {
  const ping = socket.send("ping", {});
  return ({ message_id }) => message_id === ping;
}

/** As a client does it: the same client_msg_id again after a retryable error. */
async function sayUntilAcked(socket: ChatSocket, conversationId: string, content: string): Promise<void> {
  const clientMsgId = crypto.randomUUID();
  const message = { conversation_id: conversationId, message_type: 1, content, client_msg_id: clientMsgId };
  await waitFor(
    async () => {
      const messageId = socket.send("send-message", message);
      const answer = await Promise.race([
        socket.next("message-ack", ({ message_id }) => message_id === messageId),
        socket.next("error", ({ message_id }) => message_id === messageId),
      ]);
      if (answer.type === "error") {
        expect(["unavailable", "deadline_exceeded", "resource_exhausted"]).toContain(answer.data.code);
      }
      return answer.type === "message-ack";
    },
    { timeoutMs: 60_000, what: "an ack after the restart" },
  );
}
