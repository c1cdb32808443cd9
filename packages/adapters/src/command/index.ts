export { advertisedAddress } from "./advertised-address.ts";
export { type Program, runProgram } from "./run-program.ts";
export { whenReady } from "./when-ready.ts";
