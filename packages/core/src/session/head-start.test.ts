// What was kept for a user is not asked of im-logic again: which part of it, and that the rest comes as without it.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { type Client, type ResumingGateway, startResuming, turnsEnd } from "../../test/resuming-gateway.ts";

type Seqs = readonly number[];
type Cursors = Readonly<Record<string, number>>;

const upTo = (last: number, first = 1): Seqs =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
const shown = (conversation: string, seqs: Seqs): string[] => seqs.map((seq) => `${conversation}/${seq}`);

/** A user for whom this is kept, and who is back. */
async function back(
  started: ResumingGateway,
  kept: readonly (readonly [conversation: string, seqs: Seqs])[],
  userId = "bob",
): Promise<Client> {
  const records = kept.flatMap(([conversation_id, seqs]) =>
    seqs.map((seq_id) => ({ target_user_id: userId, conversation_id, seq_id, content: "x" })),
  );
  await started.deliver(...records);
  return started.connect(userId);
}

/** @param history seq_ids that im-logic has, by conversation */
async function resumed(
  started: ResumingGateway,
  client: Client,
  cursors: Cursors,
  history: Readonly<Record<string, Seqs>>,
): Promise<{ readonly asked: Cursors; readonly through: Cursors; readonly came: readonly string[] }> {
  client.send("resume", { cursors }, "r");
  let asked = started.asked.shift();
  for (const deadline = performance.now() + 5000; asked === undefined; asked = started.asked.shift()) {
    expect(performance.now()).toBeLessThan(deadline);
    await turnsEnd();
  }
  const { request } = asked;
  asked.answer({
    messages: Object.entries(history).flatMap(([conversationId, seqs]) =>
      seqs
        .map(BigInt)
        .filter((seqId) => seqId > (request.keptThrough[conversationId] ?? request.cursors[conversationId] ?? 0n))
        .slice(0, request.maxPerConversation)
        .map((seqId) => ({ conversationId, seqId })),
    ),
    heads: Object.fromEntries(Object.entries(history).map(([id, seqs]) => [id, BigInt(seqs.at(-1) ?? 0)])),
  });
  const closing = (): boolean => client.frames.some(({ type }) => type === "resumed" || type === "resync-required");
  for (const deadline = performance.now() + 5000; !closing(); ) {
    expect(performance.now()).toBeLessThan(deadline);
    await turnsEnd();
  }
  const came = client.frames.slice(1).map(({ type, data }) => {
    const ended = type === "resumed" ? `resumed ${data.count}` : `${type} ${data.reason} ${data.conversation_ids}`;
    return type === "new-message" ? `${data.conversation_id}/${data.seq_id}` : ended;
  });
  return { asked: numbers(request.cursors), through: numbers(request.keptThrough), came };
}

const numbers = (cursors: Readonly<Record<string, bigint>>): Cursors =>
  Object.fromEntries(Object.entries(cursors).map(([id, seqId]) => [id, Number(seqId)]));

test.each<[string, Seqs, Cursors, Cursors, string[]]>([
  ["all that is missing is kept", [3, 4, 5], { c1: 2 }, { c1: 5 }, [...shown("c1", [3, 4, 5]), "resumed 3"]],
  ["the first ones are kept", [3, 4], { c1: 2 }, { c1: 4 }, [...shown("c1", [3, 4, 5]), "resumed 3"]],
  ["the last ones are kept", [4, 5], { c1: 2 }, {}, [...shown("c1", [3, 4, 5]), "resumed 3"]],
  ["one in the middle is not", [3, 5], { c1: 2 }, { c1: 3 }, [...shown("c1", [3, 4, 5]), "resumed 3"]],
  ["kept twice and in no order", [4, 3, 4], { c1: 2 }, { c1: 4 }, [...shown("c1", [3, 4, 5]), "resumed 3"]],
  ["the client has it", [1, 2, 3], { c1: 5 }, {}, ["resumed 0"]],
  ["the client has some of it", [2, 3, 4], { c1: 3 }, { c1: 4 }, [...shown("c1", [4, 5]), "resumed 2"]],
  ["the client has nothing", [1, 2], {}, { c1: 2 }, [...shown("c1", [1, 2, 3, 4, 5]), "resumed 5"]],
  ["more is kept than there is", [5, 6, 7], { c1: 4 }, { c1: 7 }, [...shown("c1", [5, 6, 7]), "resumed 3"]],
])("%s", async (_name, kept, cursors, through, came) => {
  const started = await startResuming();
  const client = await back(started, [["c1", kept]]);
  const found = await resumed(started, client, cursors, { c1: upTo(5) });
  expect(found).toEqual({ asked: cursors, through, came });
  const saved = through.c1 === undefined ? 0 : through.c1 - (cursors.c1 ?? 0);
  // What was kept and went out is a delivery, what im-logic had is none.
  expect(started.gateway.counters.deliveriesDelivered).toBe(saved);
  expect(started.gateway.counters.framesOut.get("new-message") ?? 0).toBe(came.length - 1);
});

test.each<[string, readonly bigint[]]>([
  ["that was recalled since", [2n]],
  ["and all others, by an im-logic that passes over what was kept", [2n, 1n, 3n]],
])("what im-logic has of those that were kept counts: one %s", async (_name, seqIds) => {
  const started = await startResuming();
  const client = await back(started, [["c1", [1, 2, 3]]]);
  client.send("resume", { cursors: {} });
  await vi.waitFor(() => expect(started.asked).toHaveLength(1));
  started.asked[0]?.answer({
    messages: [...seqIds, 4n].map((seqId) => ({
      conversationId: "c1",
      seqId,
      content: seqId === 2n ? "" : "of im-logic",
    })),
    heads: { c1: 4n },
  });
  await vi.waitFor(() => expect(client.frames.at(-1)).toMatchObject({ type: "resumed", data: { count: 4 } }));
  const others = seqIds.length === 1 ? "x" : "of im-logic";
  expect(client.frames.slice(1, -1).map(({ data }) => [data.seq_id, data.content ?? ""])).toEqual([
    [1, others],
    [2, ""],
    [3, others],
    [4, "of im-logic"],
  ]);
});

test("a conversation that the user has left meanwhile: once, and no claim about it", async () => {
  const started = await startResuming();
  const client = await back(started, [["left", [2, 4]]]);
  const { came } = await resumed(started, client, { left: 1, c1: 1 }, { c1: upTo(2) });
  expect(came).toEqual(["left/2", "c1/2", "resumed 2", "left/4"]);
});

test("the bounds of a resume are those of both parts", async () => {
  const started = await startResuming();
  const client = await back(started, [["c1", upTo(150)]]);
  const { came } = await resumed(started, client, {}, { c1: upTo(250), c2: upTo(200) });
  expect(came.filter((name) => name.startsWith("c1"))).toEqual(shown("c1", upTo(200)));
  expect(came.at(-1)).toBe("resync-required MISSED_TOO_MUCH c1");
  const six = ["c1", "c2", "c3", "c4", "c5", "c6"];
  const other = await back(started, [["c1", upTo(200)]], "eve");
  const all = Object.fromEntries(six.map((id) => [id, upTo(200)]));
  const bounded = await resumed(started, other, {}, all);
  expect(bounded.came.filter((name) => name.includes("/"))).toHaveLength(1000);
  expect(bounded.came.at(-1)).toBe("resync-required MISSED_TOO_MUCH c6");
});

test("when im-logic does not answer, all that was kept comes, and what the client has does not", async () => {
  const started = await startResuming({ history: false });
  const client = await back(started, [["c1", [3, 4, 6]]]);
  client.send("resume", { cursors: { c1: 3 } });
  for (const deadline = performance.now() + 5000; client.frames.length < 4; await turnsEnd()) {
    expect(performance.now()).toBeLessThan(deadline);
  }
  expect(client.frames.slice(1).map(({ type, data }) => data.seq_id ?? type)).toEqual([4, 6, "resync-required"]);
});

test("whatever is kept: what comes is what is missing, once and in order", async () => {
  const started = await startResuming();
  const some = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 12 });
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(some, some, fc.nat(12), fc.nat(12), async (first, second, cursor, head) => {
      runs += 1;
      // im-logic has stored all that it wrote.
      const heads = { c1: Math.max(head, ...first), c2: Math.max(0, ...second) };
      const cursors = { c1: Math.min(cursor, heads.c1), c2: 0 };
      const kept = [["c1", first] as const, ["c2", second] as const];
      const client = await back(started, kept, `bob ${runs}`);
      const history = { c1: upTo(heads.c1), c2: upTo(heads.c2) };
      const { came } = await resumed(started, client, cursors, history);
      const c1 = shown("c1", upTo(heads.c1, cursors.c1 + 1));
      const c2 = shown("c2", upTo(heads.c2));
      expect(came.filter((name) => name.startsWith("c1"))).toEqual(c1);
      expect(came.filter((name) => name.startsWith("c2"))).toEqual(c2);
      expect(came.at(-1)).toBe(`resumed ${c1.length + c2.length}`);
      client.leave();
    }),
    { numRuns: 300 },
  );
});
