// A gateway on in-memory parts, for tests of what Node's server makes of sockets.
import { createRouterTransport } from "@connectrpc/connect";
import { createGateway, type Gateway, type GatewayOptions } from "@im-gateway/core";
import { createMemoryBus, createMemoryRegistry, type MemoryBusClient } from "@im-gateway/core/memory";
import { SignJWT } from "jose";

export interface StartedGateway {
  readonly gateway: Gateway;
  /** Where its records come from: `downstream-one`. */
  readonly bus: MemoryBusClient;
}

const secret = "a secret for this test only";

export async function startGateway(websocket: GatewayOptions["websocket"] = {}): Promise<StartedGateway> {
  const memory = createMemoryBus();
  const { producer, consumer } = memory.connect();
  const gateway = createGateway({
    gatewayId: "one",
    version: "0",
    producer,
    consumer,
    registry: createMemoryRegistry(),
    transport: createRouterTransport(() => {}),
    log: () => undefined,
    jwt: { secret },
    defer: setImmediate,
    websocket,
  });
  await gateway.start({ address: "127.0.0.1", port: 1 }, new AbortController().signal);
  return { gateway, bus: memory.connect() };
}

export function tokenOf(userId: string): Promise<string> {
  return new SignJWT({ did: "d" })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setSubject(userId)
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret));
}
