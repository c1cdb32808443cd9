// What every call takes besides its request.

export interface CallOptions {
  /** Ends the waiting, not what the gateway may have begun: the promise rejects with `canceled`. */
  readonly signal?: AbortSignal | undefined;
  /** Rejects with `deadline_exceeded`; 0: never. Default: the client's, 10 s. A stream has none by itself. */
  readonly timeout_ms?: number | undefined;
  /** Default: the socket while it is online, else HTTP; public methods (login, …) and streams always take HTTP. */
  readonly via?: "socket" | "http" | undefined;
}
