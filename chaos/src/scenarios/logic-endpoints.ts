// One of three endpoints of im-logic is sick while the other two work.
import { setTimeout as sleep } from "node:timers/promises";
import { startKafka } from "@im-gateway/tools/kafka";
import { freePort, waitFor } from "@im-gateway/tools/process";
import { startCalls } from "../calls.ts";
import { startChat } from "../load.ts";
import { type Conduct, type LogicEndpoint, startLogicEndpoint } from "../logic-endpoint.ts";
import { registerLogic } from "../registry.ts";
import type { Scenario } from "../scenario.ts";
import { lostSockets, tooManyFailed } from "../verdicts.ts";
import { startWorld } from "../world.ts";

/** A call that hangs takes the deadline of 5 s, and a few of them come before anybody knows. */
const firstMs = 7000;

const sicknesses: readonly { readonly conduct: Conduct; readonly does: string }[] = [
  { conduct: "hang", does: "hangs" },
  { conduct: "error", does: "answers errors" },
  { conduct: "goaway", does: "ends its connections by GOAWAY" },
];

export const logicEndpoints: readonly Scenario[] = sicknesses.map(({ conduct, does }) => ({
  name: `logic-${conduct}`,
  title: `one of three im-logic endpoints ${does}`,
  promise: "sockets stay; errors ≤ 1 % after the first few calls; no crash; 0 missing",
  async run(context) {
    // In short as well longer than a call's deadline: what hangs from the beginning of it has failed before its end.
    const measuredMs = context.scale === "full" ? 30_000 : 8000;
    const real = `127.0.0.1:${await freePort()}`;
    const endpoints: LogicEndpoint[] = [];
    for (let index = 0; index < 3; index += 1) {
      const endpoint = await startLogicEndpoint(real);
      endpoints.push(endpoint);
      context.defer(() => endpoint.close());
    }
    const [own, second, sick] = endpoints;
    if (own === undefined || second === undefined || sick === undefined) throw new Error("three endpoints were made");
    const world = await startWorld(context, {
      kafka: startKafka(),
      gateways: 2,
      logicGrpc: real,
      // Its own key leads to a proxy as well.
      logicSettings: [`advertise_addr=127.0.0.1:${own.port}`],
    });
    await registerLogic(context, world.etcd, "im-logic-second", second.port);
    await registerLogic(context, world.etcd, "im-logic-sick", sick.port);
    const chat = await startChat(context, world, { groups: 10 });
    const [, someone] = [...chat.conversations.values()];
    if (someone === undefined) throw new Error("nobody is there to call");
    const bases = world.gateways.map(({ address }) => address.http);
    const calls = startCalls(100, bases, someone);
    context.defer(() => calls.stop());
    const load = chat.start(50);
    context.defer(() => load.stop());
    await waitFor(() => endpoints.every((endpoint) => endpoint.calls > 20), {
      timeoutMs: 15_000,
      what: "all three endpoints to be called",
    });
    // What was begun while all were well is nobody's measure.
    void calls.closeWindow();
    sick.conduct = conduct;
    await sleep(conduct === "hang" ? firstMs : 1000);
    context.progress(`at first ${calls.tally.failed} of ${calls.tally.made} calls failed`);
    const ofFirst = calls.closeWindow();
    const before = sick.calls;
    await sleep(measuredMs);
    const ofThen = calls.closeWindow();
    const toSick = sick.calls - before;
    const [first, then] = await Promise.all([ofFirst, ofThen]);
    const failures = tooManyFailed(then, "after the first ones");
    load.stop();
    await calls.stop();
    // The history is read by calls as well.
    sick.conduct = "relay";
    const accounted = await chat.settle();
    return {
      account: accounted.account,
      further: {
        ...accounted.further,
        "first calls": first.made,
        "first calls that failed": first.failed,
        "calls then": then.made,
        "calls then that failed": then.failed,
        "slowest call then, ms": Math.round(then.slowestMs),
        "calls then to the sick one": toSick,
      },
      failures: [...accounted.failures, ...failures, ...lostSockets(chat.clients)],
    };
  },
}));
