// The adapters of the embedded default: everything in one process, nothing installed.
export { createMemoryBus, type MemoryBus, type MemoryBusClient, type MemoryBusOptions } from "./bus.ts";
export { createMemoryRegistry, type MemoryRegistryOptions } from "./registry.ts";
