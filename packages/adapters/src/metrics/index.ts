export { createGatewayMetrics, type GatewayMetrics, type GatewayMetricsOptions } from "./gateway-metrics.ts";
export { type MetricsServer, type MetricsServerOptions, serveMetrics } from "./metrics-server.ts";
export { createServiceMetrics, type ServiceMetrics, type ServiceMetricsOptions } from "./service-metrics.ts";
