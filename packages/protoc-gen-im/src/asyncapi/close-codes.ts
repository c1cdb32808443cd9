// Why the server closes a socket (CONTRACT §4). The values of those that we make stand in core's errors.ts; a test holds the two together.
export interface CloseCodeRow {
  readonly code: number;
  readonly meaning: string;
  /** Whether a client connects again. */
  readonly reconnect: boolean;
}

export const closeCodes: readonly CloseCodeRow[] = [
  { code: 1000, meaning: "Closed by the client.", reconnect: false },
  { code: 1001, meaning: "Going away.", reconnect: true },
  { code: 1003, meaning: "A binary frame on a JSON socket.", reconnect: false },
  { code: 1006, meaning: "The connection broke; no close was seen.", reconnect: true },
  { code: 1007, meaning: "Text that is not UTF-8.", reconnect: false },
  { code: 1009, meaning: "A frame larger than `max_frame_bytes`.", reconnect: false },
  { code: 1011, meaning: "A fault of the server.", reconnect: true },
  { code: 1012, meaning: "The gateway restarts.", reconnect: true },
  { code: 1013, meaning: "Overload: try again later.", reconnect: true },
  { code: 4001, meaning: "No `auth` frame in time.", reconnect: true },
  { code: 4003, meaning: "The token has expired.", reconnect: true },
  { code: 4008, meaning: "A slow consumer: more waited for it than its buffer holds.", reconnect: true },
  { code: 4009, meaning: "The heartbeat was lost.", reconnect: true },
  { code: 4029, meaning: "Rate limited.", reconnect: true },
  { code: 4500, meaning: "A protocol error: more than 10 bad frames within 60 s.", reconnect: false },
  { code: 4501, meaning: "The token is invalid or revoked.", reconnect: false },
  { code: 4503, meaning: "Kicked.", reconnect: false },
  { code: 4509, meaning: "Replaced by a newer session of the same device.", reconnect: false },
];
