// Page tokens: where a list goes on. Each names the list that it is of, so that one list's token is not taken for another's.
import { requireValid, violation } from "./fields.ts";
import type { Row } from "./row.ts";

export interface Page {
  /** At most a page of them. */
  readonly rows: readonly Row[];
  /** "" on the last page. */
  readonly nextPageToken: string;
}

/**
 * @param rows one more than the page holds, where there are more
 * @param keyOf what `readPageToken` has to say of a page's last row
 */
export function cutPage(rows: readonly Row[], pageSize: number, list: string, keyOf: (row: Row) => string): Page {
  const shown = rows.slice(0, pageSize);
  const last = shown.at(-1);
  const more = rows.length > pageSize && last !== undefined;
  return { rows: shown, nextPageToken: more ? Buffer.from(`${list}:${keyOf(last)}`).toString("base64url") : "" };
}

/**
 * @returns the groups of the pattern in the key of the last row shown; undefined for the first page
 * @throws ConnectError invalid_argument where the token is not of this list
 */
export function readPageToken(pageToken: string, list: string, pattern: RegExp): readonly string[] | undefined {
  if (pageToken === "") {
    return undefined;
  }
  const key = Buffer.from(pageToken, "base64url").toString();
  const match = key.startsWith(`${list}:`) ? pattern.exec(key.slice(list.length + 1)) : null;
  requireValid(match === null ? violation("page_token", "is not one that this list gave") : undefined);
  return match?.slice(1);
}

/** Of a list that goes down by a number. @returns the number of the last row shown; above every number for the first page */
export function readNumberToken(pageToken: string, list: string): number {
  const [last] = readPageToken(pageToken, list, /^(\d{1,15})$/) ?? [];
  return last === undefined ? Number.MAX_SAFE_INTEGER : Number(last);
}
