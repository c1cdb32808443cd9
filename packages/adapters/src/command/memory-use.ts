// How much of the memory that this process may use it does.
import { totalmem } from "node:os";

/** Beyond this it may be killed at any time, or spend its time on the collection of garbage. */
const usableShare = 0.9;

/**
 * For `createGateway`: resident memory as a share of what there may be, or that of the runtime's own heap where it is more; 1 is too much.
 * @param maxResidentBytes default: 90 % of the container's or the machine's memory
 * @param heapShare of the heap's limit, 0 to 1, where the runtime has one
 */
export function createMemoryUse(maxResidentBytes: number | undefined, heapShare: () => number = () => 0): () => number {
  const maxBytes = maxResidentBytes ?? usableShare * machineBytes();
  return () => Math.max(process.memoryUsage.rss() / maxBytes, heapShare() / usableShare);
}

/** Outside of a container its limit is 0, or beyond what there is. */
function machineBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
