// Calls to im-logic: Connect's Transport over @grpc/grpc-js, with discovery through the registry.
export {
  createEndpoints,
  type Endpoint,
  type EndpointSource,
  type Endpoints,
  type EndpointsOptions,
  fixedEndpoints,
} from "./endpoints.ts";
export { createGrpcTransport, type GrpcTransport, type GrpcTransportOptions } from "./transport.ts";
