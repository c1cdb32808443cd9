import { createMemoryBus } from "@im-gateway/core/memory";
import { busSuite } from "./bus-suite.ts";

const bus = createMemoryBus();
busSuite("the memory bus", () => bus.connect());
