// What users have on its way: one user's share of it is bounded, and so is what all have together.
import { Code } from "@connectrpc/connect";
import type { Counters } from "../counters.ts";
import { createRefuse } from "./refusal.ts";

export interface SharesOptions {
  /** What is counted, for the error: "messages". */
  readonly what: string;
  /** Of one user. Default: 1,000. */
  readonly maxCount?: number;
  /** Of one user, in characters. Default: 4 Mi. */
  readonly maxLength?: number;
  /** Of all users together, in characters. Default: 64 Mi. */
  readonly maxTotalLength?: number;
  readonly counters: Pick<Counters, "refused">;
}

export interface Share {
  count: number;
  length: number;
}

export interface Shares {
  /** Who has something on its way. */
  readonly users: number;
  /**
   * Until `giveBack`.
   * @throws ConnectError resource_exhausted TOO_MANY_PENDING: it is too much for one user; OVERLOADED: it is too much for all
   */
  take(userId: string, length: number): Share;
  giveBack(userId: string, share: Share, length: number): void;
}

const code = Code.ResourceExhausted;

export function createShares(options: SharesOptions): Shares {
  const { what, maxCount = 1000, maxLength = 4 * 1024 * 1024, maxTotalLength = 64 * 1024 * 1024 } = options;
  const refuse = createRefuse(options.counters);
  const shares = new Map<string, Share>();
  let totalLength = 0;
  return {
    get users() {
      return shares.size;
    },
    take(userId, length) {
      const known = shares.get(userId);
      const share = known ?? { count: 0, length: 0 };
      if (share.count >= maxCount || share.length + length > maxLength) {
        const message = `too many of your ${what} wait for their answer`;
        throw refuse({ of: "user_pending", code, reason: "TOO_MANY_PENDING", message });
      }
      if (totalLength + length > maxTotalLength) {
        throw refuse({ of: "pending", code, reason: "OVERLOADED", message: `too many ${what} wait for their answer` });
      }
      share.count += 1;
      share.length += length;
      totalLength += length;
      if (known === undefined) {
        shares.set(userId, share);
      }
      return share;
    },
    giveBack(userId, share, length) {
      share.count -= 1;
      share.length -= length;
      totalLength -= length;
      if (share.count === 0) {
        shares.delete(userId);
      }
    },
  };
}
