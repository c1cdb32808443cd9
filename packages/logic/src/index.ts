export { createGrpcServer, type GrpcServer, type GrpcServerOptions } from "./grpc-server.ts";
export { createLogic, type DemoAccount, type Logic, type LogicOptions } from "./logic.ts";
