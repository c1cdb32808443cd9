// The registry on etcd, by etcd3.
export type { Fetch } from "./holder.ts";
export { createEtcdRegistry, type EtcdRegistryOptions } from "./registry.ts";
