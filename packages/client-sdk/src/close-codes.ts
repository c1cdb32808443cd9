// What a close of the socket means (CONTRACT §4).
import { ImError } from "./errors.ts";

/** The token has expired: the next connection needs a fresh one. */
export const tokenExpired = 4003;

/** Nothing was closed in order: the network, or a process that is gone. */
export const connectionLost = 1006;

const final = [1000, 1003, 1007, 1009];

const meanings: Readonly<Record<number, readonly [code: string, reason: string]>> = {
  4500: ["internal", "PROTOCOL_ERROR"],
  4501: ["unauthenticated", "TOKEN_INVALID"],
  4503: ["permission_denied", "KICKED"],
  4509: ["aborted", "REPLACED"],
};

export function reconnects(code: number): boolean {
  return code < 4500 && !final.includes(code);
}

/** Why a connection ended that will not come back by itself. */
export function closeError(code: number, reason: string): ImError {
  const [errorCode, errorReason] = meanings[code] ?? ["internal", `CLOSED_${code}`];
  return new ImError(errorCode, errorReason, `the gateway closed the connection: ${code} ${reason}`.trimEnd());
}
