// The registry that a configuration asks for: etcd where it has a `coordinator` section, else memory.
import type { Log, Registry } from "@im-gateway/core";
import { createMemoryRegistry } from "@im-gateway/core/memory";
import type { CoordinatorConfig } from "../config/index.ts";
import { createEtcdRegistry } from "../etcd/index.ts";

export function createRegistry(coordinator: CoordinatorConfig | undefined, log: Log): Registry {
  return coordinator === undefined ? createMemoryRegistry() : createEtcdRegistry({ ...coordinator, log });
}
