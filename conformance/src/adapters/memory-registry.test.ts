import { createMemoryRegistry } from "@im-gateway/core/memory";
import { describeRegistry } from "./registry-suite.ts";

describeRegistry("in memory", () => createMemoryRegistry());
