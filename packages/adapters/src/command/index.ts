export { advertisedAddress } from "./advertised-address.ts";
export { type Bus, createBus, type SharedTopics, sharedTopics } from "./bus.ts";
export { type ListenAddress, listen } from "./listen.ts";
export { logFormat } from "./log-format.ts";
export { opened } from "./opened.ts";
export { createRegistry } from "./registry.ts";
export { type Program, runProgram } from "./run-program.ts";
export { aborted, whenReady } from "./when-ready.ts";
