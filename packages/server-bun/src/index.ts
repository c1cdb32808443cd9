export type { GatewayServer, ServerOptions } from "@im-gateway/adapters/command";
export { serveGateway } from "./server.ts";
