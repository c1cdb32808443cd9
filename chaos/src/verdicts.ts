// What several scenarios hold their figures against.
import type { Tally } from "./calls.ts";
import type { Client } from "./clients.ts";
import type { Ledger } from "./ledger.ts";

const failedShare = 0.01;

export function lostSockets(clients: readonly Pick<Client, "disconnects">[]): readonly string[] {
  const lost = clients.filter(({ disconnects }) => disconnects.length > 0);
  if (lost.length === 0) return [];
  const codes = new Set(lost.flatMap(({ disconnects }) => disconnects.map(({ code }) => code)));
  return [`${lost.length} of ${clients.length} sockets were lost, by ${[...codes].join(", ")}`];
}

/** A send is answered by message-ack or error; an end of its connection is no answer. */
export function unanswered({ abandonedTries }: Pick<Ledger, "abandonedTries">): readonly string[] {
  return abandonedTries > 0 ? [`${abandonedTries} sends were not answered: their connection ended`] : [];
}

/** At most 1 % of the calls. @param when for the complaint */
export function tooManyFailed({ made, failed, firstFailure }: Tally, when: string): readonly string[] {
  if (made === 0) return [`${when} no call ended`];
  return failed > made * failedShare ? [`${when} ${failed} of ${made} calls failed, the first: ${firstFailure}`] : [];
}

/** Not one of them. */
export function anyFailed({ made, failed, firstFailure }: Tally, when: string): readonly string[] {
  return failed > 0 ? [`${when} ${failed} of ${made} calls failed, the first: ${firstFailure}`] : [];
}
