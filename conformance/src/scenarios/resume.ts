// A client that was away: what it missed, once and in order, and exactly one frame that says whether that is all.
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { type ChatSocket, connect, direct, type Frame, register, rest, type User } from "../client.ts";
import { changes, type Scrape, scrape } from "../scrape.ts";
import type { GatewayAddress, World } from "../world.ts";
import type { RealWorld } from "../worlds/real.ts";

const timeoutMs = 60_000;

/** Sends `resume` and waits for the one frame that closes it. */
async function resume(
  socket: ChatSocket,
  cursors: Readonly<Record<string, number>>,
): Promise<{ readonly closing: Frame; readonly given: readonly Frame[] }> {
  const messageId = socket.send("resume", { cursors });
  const closes = ({ type, message_id }: Frame): boolean =>
    (type === "resumed" || type === "resync-required") && message_id === messageId;
  await waitFor(() => socket.frames.some(closes), { timeoutMs: 10_000, what: "the end of the resume" });
  const closing = socket.frames.find(closes);
  if (closing === undefined) {
    throw new Error("unreachable");
  }
  return { closing, given: socket.frames.slice(0, socket.frames.indexOf(closing)).filter(isMessage) };
}

function isMessage({ type }: Frame): boolean {
  return type === "new-message";
}

function seqs(frames: readonly Frame[], conversationId: string): number[] {
  return frames
    .filter((frame) => isMessage(frame) && frame.data.conversation_id === conversationId)
    .map(({ data }) => Number(data.seq_id));
}

const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index);

async function group(gateway: GatewayAddress, owner: User, ...members: readonly User[]): Promise<string> {
  const body = { name: "a group", member_ids: members.map(({ userId }) => userId) };
  const answer = await rest(gateway, "POST", "/groups", { token: owner.accessToken, body });
  return String(answer.body.group_id);
}

/** Sends so many, all at once. */
async function sayMany(socket: ChatSocket, conversationId: string, count: number): Promise<void> {
  await Promise.all(upTo(count).map((number) => socket.say(conversationId, `message ${number}`)));
}

async function untilHead(gateway: GatewayAddress, user: User, conversationId: string, head: number): Promise<void> {
  const reached = async (): Promise<boolean> => {
    const { body } = await rest(gateway, "GET", `/conversations/${conversationId}`, { token: user.accessToken });
    return body.last_seq_id === head;
  };
  await waitFor(reached, { timeoutMs: 20_000, what: `${head} messages to be stored` });
}

const none: Scrape = { text: "", values: new Map() };

export function resumeAfterRestartScenarios(world: () => RealWorld): void {
  test("a gateway killed and started again: what was routed to it meanwhile is kept for who comes back, and is in a resume once", async () => {
    const [first, second] = world().gateways;
    const [alice, bob, carol] = [
      await register(first, "alice"),
      await register(second, "bob"),
      await register(second, "carol"),
    ];
    const conversationId = await group(first, alice, bob, carol);
    const a = await connect(first, alice);
    const [b, c] = [await connect(second, bob), await connect(second, carol)];
    await a.say(conversationId, "the first");
    await Promise.all([b.next("new-message"), c.next("new-message")]);
    await world().gatewayB.kill();
    await sayMany(a, conversationId, 5);
    await untilHead(first, alice, conversationId, 6);
    await world().gatewayB.start();
    const keptAll = async (): Promise<boolean> =>
      (changes("deliveries_total", none, await scrape(second.metrics))['result="kept"'] ?? 0) >= 10;
    await waitFor(keptAll, { timeoutMs: 20_000, what: "the gateway to keep what nobody is here for" });

    const [resumes, listens] = [await connect(second, bob), await connect(second, carol)];
    const { closing, given } = await resume(resumes, { [conversationId]: 1 });
    expect(closing).toMatchObject({ type: "resumed", data: { complete: true, count: 5 } });
    expect(seqs(given.slice(-5), conversationId)).toEqual(upTo(5, 2));
    // The first may come again: its offset need not have been committed when the gateway was killed.
    const missed = (): number[] => seqs(listens.frames, conversationId).filter((seq) => seq > 1);
    await waitFor(() => new Set(missed()).size === 5, {
      timeoutMs: 10_000,
      what: () => `what was kept, without being asked for; came ${String(missed())}`,
    });
    await a.say(conversationId, "the seventh");
    await resumes.next("new-message", ({ data }) => data.seq_id === 7);
    const later = resumes.frames.slice(resumes.frames.indexOf(closing));
    expect(seqs(later, conversationId)).toEqual([7]);
    await Promise.all([a, resumes, listens].map((socket) => socket.close()));
  }, 120_000);
}

export function resumeScenarios(world: () => World): void {
  describe("resume", () => {
    test.each([
      ["the same", 0],
      ["another", 1],
    ] as const)(
      "a short absence, back on %s gateway, while messages flow",
      async (_name, there) => {
        const [first] = world().gateways;
        const [alice, bob] = [await register(first, "alice"), await register(first, "bob")];
        const conversationId = await direct(first, alice, bob);
        const a = await connect(first, alice);
        let flowing = true;
        let sent = 0;
        const flow = (async () => {
          while (flowing) {
            await a.say(conversationId, `message ${++sent}`);
          }
        })();
        let cursor = 0;
        for (let absence = 0; absence < 3; absence++) {
          const b = await connect(world().gateways[absence % 2 === 0 ? there : 0], bob);
          const { closing } = await resume(b, { [conversationId]: cursor });
          expect(closing).toMatchObject({ type: "resumed", data: { complete: true } });
          const target = cursor + 40;
          await waitFor(() => Math.max(...seqs(b.frames, conversationId)) >= target, {
            timeoutMs: 20_000,
            what: () => `message ${target}; came ${seqs(b.frames, conversationId).length}`,
          });
          await b.close();
          // From the `resume` on each comes once and in order; what came before it, live, may come again.
          const closedAt = b.frames.indexOf(closing);
          const count = Number(closing.data.count);
          const before = b.frames.slice(0, closedAt).filter(isMessage);
          const came = [...before.slice(before.length - count), ...b.frames.slice(closedAt)];
          const numbers = seqs(came, conversationId);
          expect(numbers).toEqual(upTo(numbers.length, cursor + 1));
          cursor += numbers.length;
        }
        flowing = false;
        await flow;
        await a.close();
      },
      timeoutMs,
    );

    test(
      "250 missed in one conversation: it is named, the rest is whole",
      async () => {
        const [first, second] = world().gateways;
        const [alice, bob] = [await register(first, "alice"), await register(first, "bob")];
        const [large, small] = [await group(first, alice, bob), await group(first, alice, bob)];
        const a = await connect(first, alice);
        await sayMany(a, large, 250);
        await sayMany(a, small, 7);
        await untilHead(first, alice, large, 250);
        await untilHead(first, alice, small, 7);
        const b = await connect(second, bob);
        const { closing, given } = await resume(b, {});
        expect(closing).toMatchObject({
          type: "resync-required",
          data: { reason: "MISSED_TOO_MUCH", conversation_ids: [large] },
        });
        // What was stored just before it connected comes live as well: only the last ones before the end are the answer.
        expect(seqs(given.slice(-207), small)).toEqual(upTo(7));
        expect(seqs(given.slice(-207), large)).toEqual(upTo(200));
        const again = await resume(b, { [large]: 200 });
        expect(again.closing).toMatchObject({ type: "resumed", data: { complete: true, count: 57 } });
        expect(seqs(again.given.slice(-57), large)).toEqual(upTo(50, 201));
        await Promise.all([a.close(), b.close()]);
      },
      timeoutMs,
    );

    test(
      "cursors at the head, beyond it, and of conversations of others: nothing is missing",
      async () => {
        const [first] = world().gateways;
        const [alice, bob, carol] = [
          await register(first, "alice"),
          await register(first, "bob"),
          await register(first, "carol"),
        ];
        const [mine, others] = [await direct(first, alice, bob), await direct(first, alice, carol)];
        const a = await connect(first, alice);
        await sayMany(a, mine, 3);
        await sayMany(a, others, 3);
        await untilHead(first, alice, mine, 3);
        await untilHead(first, alice, others, 3);
        const b = await connect(first, bob);
        for (const cursors of [{ [mine]: 3 }, { [mine]: 30, [others]: 1, nowhere: 5 }]) {
          const { closing } = await resume(b, cursors);
          expect(closing).toMatchObject({ type: "resumed", data: { complete: true, count: 0 } });
        }
        // And what comes after is not taken for what was given.
        await a.say(mine, "the fourth");
        await b.next("new-message", ({ data }) => data.seq_id === 4);
        await Promise.all([a.close(), b.close()]);
      },
      timeoutMs,
    );
  });
}
