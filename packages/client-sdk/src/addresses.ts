// Where the gateway's two doors are.

export interface Addresses {
  /** Without a slash at its end. */
  readonly http: string;
  readonly socket: string;
}

/**
 * @param url the base URL (`https://host/base`), or a WebSocket URL (`wss://host/base/ws`); the socket's default path is `/ws` below the base
 * @throws TypeError when it is no URL, or of another scheme
 */
export function addresses(url: string): Addresses {
  const given = new URL(url);
  const isSocket = /^wss?:$/.test(given.protocol);
  if (!isSocket && !/^https?:$/.test(given.protocol)) {
    throw new TypeError("url must be an http, https, ws or wss URL");
  }
  const host = given.host;
  const secure = /^(https|wss):$/.test(given.protocol) ? "s" : "";
  const path = given.pathname.replace(/\/+$/, "");
  return {
    http: `http${secure}://${host}${isSocket ? path.replace(/\/[^/]*$/, "") : path}`,
    socket: `ws${secure}://${host}${isSocket && path !== "" ? path + given.search : `${path}/ws`}`,
  };
}
