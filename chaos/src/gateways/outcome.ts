// What a scenario of gateways and sockets finds, while it goes on.
import type { Account } from "../account.ts";
import { complaints, type Delivery } from "../fleet/load.ts";
import type { Figures } from "../scenario.ts";

export interface Findings {
  figure(name: string, value: number | string): void;
  /** A figure that must be at most `most`. */
  atMost(name: string, value: number, most: number): void;
  /** A figure that must be exactly that. */
  exactly(name: string, value: number | string, wanted: number | string): void;
  /** The account of a load; of several loads they are summed up. */
  delivery(delivery: Delivery): void;
  figures(): Figures;
}

const nothing: Account = { sent: 0, acked: 0, in_log: 0, delivered: 0, duplicated: 0, out_of_order: 0, missing: 0 };

export function createFindings(): Findings {
  const further: Record<string, number | string> = {};
  const failures: string[] = [];
  let account = nothing;
  const figure = (name: string, value: number | string): void => {
    further[name] = typeof value === "number" ? Math.round(value * 1000) / 1000 : value;
  };
  const add = (name: string, value: number): void => figure(name, Number(further[name] ?? 0) + value);
  return {
    figure,
    atMost(name, value, most) {
      figure(name, value);
      if (!(value <= most)) failures.push(`${name}: ${further[name]}, at most ${most} is allowed`);
    },
    exactly(name, value, wanted) {
      figure(name, value);
      if (value !== wanted) failures.push(`${name}: ${value} instead of ${wanted}`);
    },
    delivery(delivery) {
      const { sent, acked, inLog, shown, shownTwice, outOfOrder, missing, lost } = delivery;
      account = {
        sent: account.sent + sent,
        acked: account.acked + acked,
        in_log: account.in_log + inLog,
        delivered: account.delivered + shown,
        duplicated: account.duplicated + delivery.logCopies + delivery.duplicateFrames,
        out_of_order: account.out_of_order + outOfOrder,
        missing: account.missing + lost + missing,
      };
      add("shown twice", shownTwice);
      add("frames beyond a gap on a whole connection", delivery.gaps);
      failures.push(...complaints(delivery));
    },
    figures: () => ({ account, further, failures }),
  };
}
