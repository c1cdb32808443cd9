// The caller's getToken, asked for a fresh token once at a time: a refresh token works once, two at a time would end the session.
import { ImError } from "./errors.ts";

export type GetToken = (why: { readonly refresh: boolean }) => string | Promise<string>;

/** @param refresh the last one is no longer good. @throws ImError */
export type TokenSource = (refresh: boolean) => Promise<string>;

export function createTokenSource(getToken: GetToken): TokenSource {
  let refreshing: Promise<string> | undefined;

  const ask = async (refresh: boolean): Promise<string> => {
    try {
      return await getToken({ refresh });
    } catch (cause) {
      throw cause instanceof ImError ? cause : new ImError("unavailable", "NO_TOKEN", "getToken has failed", { cause });
    }
  };

  const askOnce = async (): Promise<string> => {
    try {
      return await ask(true);
    } finally {
      refreshing = undefined;
    }
  };

  return async (refresh) => {
    if (refresh) {
      refreshing ??= askOnce();
    }
    return refreshing ?? ask(false);
  };
}
