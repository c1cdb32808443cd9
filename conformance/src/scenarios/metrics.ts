// /metrics says what was done, and its labels stay few.
import { readFile } from "node:fs/promises";
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { connect, direct, register, rest } from "../client.ts";
import { scrape } from "../scrape.ts";
import type { World } from "../world.ts";

/** CONTRACT §8. */
const names = [
  "http_requests_total",
  "http_request_duration_seconds",
  "websocket_connections",
  "websocket_connections_opened_total",
  "websocket_connections_closed_total",
  "websocket_frames_total",
  "websocket_bytes_total",
  "websocket_buffered_bytes",
  "deliveries_total",
  "kafka_records_produced_total",
  "kafka_records_consumed_total",
  "kafka_record_failures_total",
  "kafka_publish_duration_seconds",
  "kafka_consumer_lag_records",
  "grpc_client_calls_total",
  "grpc_client_call_duration_seconds",
  "build_info",
  "ready",
];

export function metricScenarios(world: () => World): void {
  describe("metrics", () => {
    test("the operators' page has every name, and no other", async () => {
      const { text } = await scrape(world().gateways[0].metrics);
      const served = [...text.matchAll(/^# TYPE im_gateway_(\w+) /gm)].map(([, name]) => name);
      const page = await readFile(new URL("../../../docs/operations.md", import.meta.url), "utf8");
      const [, section = ""] = /\n## Metrics\n(.*?)\n## /s.exec(page) ?? [];
      const rows = section.split("\n").filter((line) => line.startsWith("| `") && !line.startsWith("| `im_gateway_…"));
      const named = rows.flatMap((row) => [...(row.split(" | ")[0] ?? "").matchAll(/`(\w+)/g)].map(([, name]) => name));
      expect(named.toSorted()).toEqual(served.toSorted());
    });

    test("every name of the contract, and the counts of what was done", async () => {
      const gateway = world().gateways[0];
      const [alice, bob] = [await register(gateway, "alice"), await register(gateway, "bob")];
      const conversationId = await direct(gateway, alice, bob);
      const before = await scrape(gateway.metrics);
      const [a, b] = [await connect(gateway, alice), await connect(gateway, bob)];
      for (let n = 0; n < 5; n++) {
        await a.say(conversationId, `message ${n}`);
      }
      await b.next("new-message", ({ data }) => data.content === "message 4");
      await a.next("message-stored", ({ data }) => data.seq_id === 5);
      a.sendText("{");
      await a.next("error");
      await rest(gateway, "GET", "/users/me", { token: alice.accessToken });
      await rest(gateway, "GET", "/users/me");
      await rest(gateway, "GET", "/nowhere/at/all");
      const during = await scrape(gateway.metrics);
      await Promise.all([a.close(), b.close()]);
      const rise = (series: string, from = before, to = during): number =>
        (to.values.get(`im_gateway_${series}`) ?? 0) - (from.values.get(`im_gateway_${series}`) ?? 0);

      for (const name of names) {
        expect(during.text).toContain(`\n# TYPE im_gateway_${name} `);
      }
      expect({
        connections: rise("websocket_connections"),
        opened: rise("websocket_connections_opened_total"),
        sent: rise('websocket_frames_total{direction="in",type="send-message"}'),
        invalid: rise('websocket_frames_total{direction="in",type="invalid"}'),
        acks: rise('websocket_frames_total{direction="out",type="message-ack"}'),
        received: rise('websocket_frames_total{direction="out",type="new-message"}'),
        stored: rise('websocket_frames_total{direction="out",type="message-stored"}'),
        // They may be told of one another that they are online.
        delivered:
          rise('deliveries_total{result="delivered"}') -
          rise('websocket_frames_total{direction="out",type="online-status"}'),
        upstream: rise('kafka_records_produced_total{topic="upstream"}'),
        published: rise("kafka_publish_duration_seconds_count"),
        me: rise('http_requests_total{method="GET",route="/api/v1/users/me",status="200"}'),
        refused: rise('http_requests_total{method="GET",route="/api/v1/users/me",status="401"}'),
        unrouted: rise('http_requests_total{method="GET",route="none",status="404"}'),
        calls: rise('grpc_client_calls_total{method="im.logic.v1.UserService/GetMe",code="ok"}'),
      }).toEqual({
        connections: 2,
        opened: 2,
        sent: 5,
        invalid: 1,
        acks: 5,
        received: 5,
        stored: 5,
        delivered: 10,
        upstream: 5,
        published: 5,
        me: 1,
        refused: 1,
        unrouted: 1,
        calls: 1,
      });
      expect(rise('websocket_bytes_total{direction="in"}')).toBeGreaterThan(500);
      expect(during.values.get("im_gateway_ready")).toBe(1);
      await waitFor(
        async () => {
          const after = await scrape(gateway.metrics);
          const closed = rise('websocket_connections_closed_total{code="1005"}', before, after);
          return closed === 2 && rise("websocket_connections", before, after) === 0;
        },
        { timeoutMs: 5000, what: "both closes to be counted" },
      );
      for (const secret of [
        alice.userId,
        alice.username,
        alice.accessToken,
        conversationId,
        "nowhere/at/all",
        "gateway-a",
      ]) {
        expect(during.text).not.toContain(secret);
      }
    });
  });
}
