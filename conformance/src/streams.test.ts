// An export on its way from im-logic through a gateway on each runtime: whole, no faster than it is read, and ended when its reader leaves.
import { randomBytes } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:http2";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { MessageService } from "@im-gateway/proto";
import { waitFor } from "@im-gateway/tools/process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inSeconds, jwt } from "./jwt.ts";
import { changes, scrape } from "./scrape.ts";
import { gatewayCommands } from "./world.ts";
import { freeAddress, freeGateway, launch } from "./worlds/program.ts";

type Export = ServiceImpl<typeof MessageService>["exportMessages"];

const token = jwt({ claims: { sub: "u", did: "d", exp: inSeconds(3600) } });
const route = "/api/v1/conversations/{conversation_id}/messages:export";

describe.each(gatewayCommands)("%s", (command) => {
  let exportMessages: Export;
  let http: string;
  let metrics: string;
  let stop: () => Promise<unknown>;

  beforeAll(async () => {
    const logicAddress = await freeAddress();
    const { gateway, settings } = await freeGateway();
    const logic = createServer(
      connectNodeAdapter({
        routes: ({ service }) =>
          service(MessageService, { exportMessages: (call, context) => exportMessages(call, context) }),
      }),
    );
    await new Promise<void>((resolve) => logic.listen(Number(logicAddress.split(":")[1]), "127.0.0.1", resolve));
    const program = launch(`${command} before an export`, command, [
      ...settings,
      `grpc.logic.direct_addr=${logicAddress}`,
    ]);
    ({ http, metrics } = gateway);
    stop = async () => {
      await program.stop();
      await new Promise((resolve) => logic.close(resolve));
    };
    const isReady = async (): Promise<boolean> => (await fetch(`${http}/ready`)).status === 200;
    await waitFor(isReady, { timeoutMs: 20_000, what: "the gateway to be ready" });
  });
  afterAll(() => stop());

  /** Resolves with the headers; nothing of the body is read. */
  const open = (accept: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, accept };
      const outgoing = request(`${http}/api/v1/conversations/single:1:2/messages:export`, { headers }, resolve);
      outgoing.on("error", reject);
      outgoing.end();
    });

  const textOf = async (response: IncomingMessage): Promise<string> => {
    response.setEncoding("utf8");
    let text = "";
    for await (const part of response) text += part;
    return text;
  };

  test("comes whole, and is counted at its end", async () => {
    const before = await scrape(metrics);
    exportMessages = async function* ({ conversationId, callerId }) {
      for (let seqId = 1n; seqId <= 500n; seqId++) yield { conversationId, senderId: callerId, seqId };
    };
    const response = await open("application/x-ndjson");
    expect([response.statusCode, response.headers["content-type"]]).toEqual([200, "application/x-ndjson"]);
    const lines = (await textOf(response)).trim().split("\n");
    expect(lines.map((line): number => JSON.parse(line).seq_id)).toEqual(lines.map((_, index) => index + 1));
    expect([lines.length, JSON.parse(lines[0] ?? "{}")]).toMatchObject([
      500,
      { conversation_id: "single:1:2", sender_id: "u" },
    ]);
    const after = await scrape(metrics);
    expect(changes("http_requests_total", before, after)).toEqual({
      [`method="GET",route="${route}",status="200"`]: 1,
    });
    expect(changes("grpc_client_calls_total", before, after)).toEqual({
      'method="im.logic.v1.MessageService/ExportMessages",code="ok"': 1,
    });
  });

  test("an event stream's headers leave before its first message", async () => {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    exportMessages = async function* () {
      await released;
      yield { seqId: 7n };
    };
    const response = await open("text/event-stream");
    expect([response.statusCode, response.headers["content-type"]]).toEqual([200, "text/event-stream"]);
    release();
    expect(await textOf(response)).toMatch(/^:\n\ndata: {.*"seq_id":7,.*}\n\nevent: end\ndata: {}\n\n$/);
  });

  test.each(["application/x-ndjson", "text/event-stream"])("is made no faster than it is read, %s", async (accept) => {
    let made = 0;
    let context: HandlerContext | undefined;
    // Compression would let all of it through.
    const content = randomBytes(12_288).toString("base64");
    exportMessages = async function* (_, received) {
      context = received;
      for (;;) {
        made += 1;
        yield { content };
      }
    };
    const response = await open(accept);
    response.pause();
    let before = -1;
    await waitFor(
      () => {
        const still = made === before;
        before = made;
        return still;
      },
      { timeoutMs: 15_000, intervalMs: 500, what: "the export to wait for its reader" },
    );
    // 16 KiB each: what sockets and windows hold, and no more.
    expect(made).toBeLessThan(2_000);
    response.resume();
    await waitFor(() => made > before + 500, { timeoutMs: 10_000, what: "the export to go on" });
    expect(context?.signal.aborted).toBe(false);
    response.destroy();
    await waitFor(() => context?.signal.aborted, { timeoutMs: 5_000, what: "the export to end with its reader" });
  });
});
