// The `im-gateway` command on Node: configuration → parts → gateway → open port, and back again on SIGTERM.
import { aborted, advertisedAddress, logFormat, opened, runProgram, whenReady } from "@im-gateway/adapters/command";
import { formatAddress, type GatewayConfig, gatewayConfig } from "@im-gateway/adapters/config";
import { createLogger } from "@im-gateway/adapters/log";
import { createGatewayMetrics, serveMetrics } from "@im-gateway/adapters/metrics";
import { createGateway } from "@im-gateway/core";
import manifest from "../package.json" with { type: "json" };
import { createParts } from "./parts.ts";
import { serveGateway } from "./server.ts";
import { tryNext } from "./try-next.ts";

const { version } = manifest;

await runProgram({
  name: "im-gateway",
  summary: "the messaging gateway between clients (HTTP, WebSocket) and a chat back end (gRPC, Kafka, etcd)",
  version,
  config: gatewayConfig,
  serve,
});

async function serve(config: GatewayConfig, stop: AbortSignal): Promise<void> {
  const { gatewayId, server, websocket, jwt } = config;
  const logger = createLogger({
    level: config.log.level,
    format: logFormat(config, process.stdout.isTTY),
    fields: { gateway_id: gatewayId },
  });
  const log = logger.module("server");
  const parts = createParts(config, logger);
  const metrics = createGatewayMetrics({ version, runtime: `node ${process.versions.node}` });
  const gateway = createGateway({
    gatewayId,
    version,
    producer: parts.producer,
    consumer: parts.consumer,
    registry: parts.registry,
    transport: parts.transport,
    topics: parts.topics,
    log: logger.module("gateway"),
    jwt: {
      secret: jwt.secret,
      acceptedTypes: jwt.acceptedTypes,
      ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
    },
    websocket,
    maxBodyBytes: server.maxBodyBytes,
    unready: parts.unready,
    observer: metrics.observer,
    defer: setImmediate,
  });
  const serving = serveGateway({
    gateway,
    host: server.httpAddr.host,
    port: server.httpAddr.port,
    log: logger.module("http"),
    wsPath: server.wsPath,
    maxFrameBytes: websocket.maxFrameBytes,
    readTimeoutMs: server.readTimeoutMs,
    writeTimeoutMs: server.writeTimeoutMs,
  });
  const listening = await opened("server.http_addr", serving);
  const scraping = serveMetrics({
    render: () => metrics.render(gateway),
    contentType: metrics.contentType,
    addr: config.metrics.addr,
    log: logger.module("metrics"),
  });
  const scraped = await opened("metrics.addr", scraping);
  try {
    await gateway.start(advertisedAddress(listening, server.advertiseAddr), stop);
    const accounts = config.appEnv === "development" ? await parts.embedded?.createDemoAccounts() : undefined;
    if (await whenReady(gateway.unready, stop, log)) {
      log("info", "listening", { http_addr: formatAddress(listening), metrics_addr: formatAddress(scraped) });
      if (accounts !== undefined) {
        process.stderr.write(tryNext(`http://localhost:${listening.port}`, accounts, server.wsPath, config.dataDir));
      }
      await aborted(stop);
    }
  } finally {
    log("info", "draining");
    const deadline = AbortSignal.timeout(server.drainTimeoutMs);
    const closed = listening.close(deadline);
    await gateway.drain(deadline);
    await parts.close();
    await closed;
    await scraped.close();
    log("info", "ended");
  }
}
