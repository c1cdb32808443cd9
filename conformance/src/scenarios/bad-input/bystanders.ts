// Two users who talk while somebody else misbehaves: each message has to arrive, in order and in time.
import { waitFor } from "@im-gateway/tools/process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asRecord, type ChatSocket, connect, direct, register } from "../../client.ts";
import { recordedLines } from "../../output.ts";
import { scrape } from "../../scrape.ts";
import type { World } from "../../world.ts";

/** Far above what a message takes, far below what anybody would call a stall. */
const maxDelayMs = 3000;
const pauseMs = 20;

/**
 * Lets two users talk during the tests of this `describe`.
 * @returns what adds the test that nobody was harmed; to be called last
 */
export function startBystanders(world: () => World): { addTest(): void } {
  let talk: Talk | undefined;
  let before: Standing | undefined;
  beforeAll(async () => {
    await waitFor(async () => (await readiness(world())).every((status) => status === 200), {
      timeoutMs: 30_000,
      what: "all gateways to be ready, whatever was away before",
    });
    before = await standing(world());
    talk = await startTalk(world());
  });
  afterAll(() => talk?.end());
  return {
    addTest() {
      test("nobody else was harmed, and nothing is left behind", async () => {
        if (talk === undefined || before === undefined) {
          throw new Error("the bystanders never began to talk");
        }
        const { said, received, slowestMs } = await talk.end();
        expect(said).toBeGreaterThan(0);
        expect(received).toEqual(Array.from({ length: said }, (_, index) => index + 1));
        expect(slowestMs).toBeLessThan(maxDelayMs);
        const expected = before;
        await waitFor(async () => (await standing(world())).sockets.join() === expected.sockets.join(), {
          timeoutMs: 10_000,
          what: `${expected.sockets.join()} sockets, as before`,
        });
        expect(await standing(world())).toEqual(before);
      });
    },
  };
}

interface Standing {
  readonly sockets: readonly (number | undefined)[];
  /** Another process would have another. */
  readonly instances: readonly unknown[];
  readonly ready: readonly number[];
  /** Lines of the log, of every program. */
  readonly errors: readonly string[];
}

function readiness({ gateways }: World): Promise<readonly number[]> {
  return Promise.all(gateways.map(async ({ http }) => (await fetch(`${http}/ready`)).status));
}

async function standing(world: World): Promise<Standing> {
  const { gateways } = world;
  return {
    sockets: await Promise.all(
      gateways.map(async ({ metrics }) => (await scrape(metrics)).values.get("im_gateway_websocket_connections")),
    ),
    instances: await Promise.all(
      gateways.map(async ({ http }) => asRecord(await (await fetch(`${http}/health`)).json()).instance),
    ),
    ready: await readiness(world),
    errors: recordedLines().flatMap(({ line }) => (line.startsWith('{"level":"error"') ? [line] : [])),
  };
}

interface Talk {
  /** Says no more; resolves when the last message has arrived, or when one is overdue. */
  end(): Promise<{ readonly said: number; readonly received: readonly unknown[]; readonly slowestMs: number }>;
}

async function startTalk({ gateways: [first, second] }: World): Promise<Talk> {
  const [speaker, listener] = [await register(first, "speaker"), await register(second, "listener")];
  const conversationId = await direct(first, speaker, listener);
  const [from, to] = [await connect(first, speaker), await connect(second, listener)];
  let talking = true;
  let said = 0;
  let slowestMs = 0;
  const talk = async (): Promise<void> => {
    while (talking) {
      said += 1;
      const content = `word ${said}`;
      const startedMs = performance.now();
      await from.say(conversationId, content);
      await to.next("new-message", ({ data }) => data.content === content);
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  // A message that does not arrive shows in what was received.
  const talked = talk().catch(() => undefined);
  const seqIds = ({ frames }: ChatSocket): readonly unknown[] =>
    frames.filter(({ type }) => type === "new-message").map(({ data }) => data.seq_id);
  let ended: ReturnType<Talk["end"]> | undefined;
  const end = async (): ReturnType<Talk["end"]> => {
    talking = false;
    await talked;
    await Promise.all([from.close(), to.close()]);
    return { said, received: [...new Set(seqIds(to))], slowestMs };
  };
  return { end: () => (ended ??= end()) };
}
