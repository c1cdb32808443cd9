// More messages come than the gateway is set to take: what it takes must not suffer.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { WebSocket } from "ws";
import { readLog } from "../evidence.ts";
import { startLoad } from "../load.ts";
import { createGroup, createUsers, deviceToken } from "../people.ts";
import type { Scenario } from "../scenario.ts";
import { startWorld } from "../world.ts";

const minShare = 0.8;
const sockets = 20;

export const overload: Scenario = {
  name: "overload",
  title: "twice the messages that limits.messages_per_second allows, on one core",
  promise: `goodput ≥ ${100 * minShare} % of the peak; every refusal says when to come again; no socket lost; 0 acked lost`,
  async run(context) {
    const { limit, windowMs } =
      context.scale === "full" ? { limit: 4000, windowMs: 15_000 } : { limit: 300, windowMs: 3000 };
    const world = await startWorld(context, {
      kafka: startKafka(),
      gatewaySettings: [`limits.messages_per_second=${limit}`],
    });
    const [gateway] = world.gateways;
    if (gateway === undefined) throw new Error("a gateway was started");
    execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", "0", String(gateway.program.pid)]);
    const users = await createUsers(gateway.address.http, sockets);
    const sent = new Set<string>();
    const acked = new Set<string>();
    let refused = 0;
    let withoutHint = 0;
    let closed = 0;
    const lanes = await Promise.all(
      users.map(async (user) => {
        const conversationId = await createGroup(gateway.address.http, [user]);
        const socket = new WebSocket(`${gateway.address.ws}?token=${deviceToken(user.userId)}`);
        context.defer(() => socket.terminate());
        socket.on("close", () => {
          closed += 1;
        });
        socket.on("message", (text) => {
          const { type, data } = JSON.parse(String(text));
          if (type === "message-ack") acked.add(data.client_msg_id);
          if (type === "error") {
            refused += 1;
            withoutHint += data.retry_after_ms > 0 ? 0 : 1;
          }
        });
        await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
        return { socket, conversationId };
      }),
    );
    const content = "x".repeat(200);
    const send = (index: number): void => {
      const lane = lanes[index % lanes.length];
      const client_msg_id = randomUUID();
      const data = { conversation_id: lane?.conversationId, message_type: 1, content, client_msg_id };
      sent.add(client_msg_id);
      lane?.socket.send(JSON.stringify({ type: "send-message", message_id: client_msg_id, data }));
    };
    /** Acks a second while so many are offered. */
    const goodput = async (perSecond: number): Promise<number> => {
      const load = startLoad(perSecond, send);
      context.defer(() => load.stop());
      await sleep(1000);
      const before = acked.size;
      const startedMs = performance.now();
      await sleep(windowMs);
      const rate = ((acked.size - before) * 1000) / (performance.now() - startedMs);
      load.stop();
      await waitFor(() => acked.size + refused === sent.size, { timeoutMs: 10_000, what: "every send to be answered" });
      context.progress(`${perSecond} a second offered, ${Math.round(rate)} acked, ${refused} refused`);
      return rate;
    };
    const atLimit = await goodput(limit);
    const refusedAtLimit = refused;
    const atTwice = await goodput(2 * limit);
    const closedBefore = closed;
    const log = await readLog(world.kafka.brokers);
    const logged = new Set(log.map(({ clientMsgId }) => clientMsgId));
    const lost = [...acked].filter((id) => !logged.has(id)).length;
    const share = atTwice / atLimit;
    return {
      account: {
        sent: sent.size,
        acked: acked.size,
        in_log: [...sent].filter((id) => logged.has(id)).length,
        delivered: 0,
        duplicated: log.length - logged.size,
        out_of_order: 0,
        missing: lost,
      },
      further: {
        "limit, messages a second": limit,
        "acked a second at the limit": Math.round(atLimit),
        "acked a second at twice the limit": Math.round(atTwice),
        "goodput at twice, of the peak": share.toFixed(2),
        "refused at the limit": refusedAtLimit,
        "refused at twice the limit": refused - refusedAtLimit,
      },
      failures: [
        ...(share < minShare ? [`goodput at twice the limit is ${share.toFixed(2)} of the peak`] : []),
        ...(atLimit < minShare * limit ? [`${Math.round(atLimit)} a second were acked at the limit`] : []),
        ...(withoutHint > 0 ? [`${withoutHint} refusals without retry_after_ms`] : []),
        ...(closedBefore > 0 ? [`${closedBefore} sockets were lost`] : []),
        ...(lost > 0 ? [`${lost} acked and not in the log`] : []),
      ],
    };
  },
};
