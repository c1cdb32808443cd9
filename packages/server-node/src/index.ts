export { type GatewayServer, type ServerOptions, serveGateway } from "./server.ts";
export { type SocketsOptions, serveSockets } from "./sockets.ts";
