// The rules for single request fields.
import { Code, type ConnectError } from "@connectrpc/connect";
import { type FieldViolation, failure, invalidFields } from "@im-gateway/core";

/** A violation, or nothing. */
export type Check = FieldViolation | undefined;

const CONTROL = /[\p{Cc}\p{Cs}]/u;
// White space, control and invisible format characters: two names that look alike must not be two accounts.
const NOT_IN_NAMES = /[\s\p{Cc}\p{Cf}\p{Cs}]/u;

/** @throws ConnectError invalid_argument with all violations */
export function requireValid(...checks: readonly Check[]): void {
  const violations = checks.filter((check) => check !== undefined);
  if (violations.length > 0) {
    throw invalidFields(...violations);
  }
}

export function checkPresent(field: string, value: string): Check {
  return value === "" ? violation(field, "is required") : undefined;
}

/** 1 to 64 characters, no white space or control characters. */
export function checkUsername(username: string): Check {
  return checkLength("username", username, 1, 64) ?? checkPattern("username", username, NOT_IN_NAMES);
}

/** 6 to 128 characters. */
export function checkPassword(password: string): Check {
  return checkLength("password", password, 6, 128);
}

/** 1 to 64 characters, not only white space. */
export function checkNickname(nickname: string): Check {
  return checkTitle("nickname", nickname, 64);
}

/** The name of a group: 1 to 100 characters, not only white space. */
export function checkGroupName(name: string): Check {
  return checkTitle("name", name, 100);
}

/** What an admin may change of a group; undefined stays as it is. */
export function checkGroupChange(change: { name: string | undefined; avatarUrl: string | undefined }): Check[] {
  const { name, avatarUrl } = change;
  return [
    name === undefined ? undefined : checkGroupName(name),
    avatarUrl === undefined ? undefined : checkAvatarUrl(avatarUrl),
  ];
}

/** "" for none, or an http or https URL of at most 1,024 characters: clients put it into a page. */
export function checkAvatarUrl(avatarUrl: string): Check {
  if (avatarUrl === "") {
    return undefined;
  }
  const web = /^https?:\/\//i.test(avatarUrl) && URL.canParse(avatarUrl) && !NOT_IN_NAMES.test(avatarUrl);
  return (
    checkLength("avatar_url", avatarUrl, 1, 1024) ?? (web ? undefined : violation("avatar_url", "is not a web URL"))
  );
}

/** An id that a client chose: at most 128 characters, no control characters. */
export function checkClientId(field: string, value: string, minLength: 0 | 1): Check {
  return checkLength(field, value, minLength, 128) ?? checkPattern(field, value, CONTROL);
}

/** "" or a text of at most so many characters. */
export function checkMaxLength(field: string, value: string, maxLength: number): Check {
  return checkLength(field, value, 0, maxLength);
}

/** What is searched for: 1 to so many characters. */
export function checkQuery(query: string, maxLength: number): Check {
  return checkLength("query", query, 1, maxLength);
}

/** 1 to 100; 0 stands for "not given", which is 20 where nothing else is said. */
export function pageSize(value: number, byDefault = 20): number {
  requireValid(value < 0 || value > 100 ? violation("page_size", "must be 1 to 100") : undefined);
  return value === 0 ? byDefault : value;
}

/**
 * The caller that the gateway filled in.
 * @throws ConnectError unauthenticated where there is none
 */
export function requireCaller(callerId: string): string {
  if (callerId === "") {
    throw unauthenticated();
  }
  return callerId;
}

export function violation(field: string, description: string): FieldViolation {
  return { field, description };
}

function unauthenticated(): ConnectError {
  return failure(Code.Unauthenticated, "UNAUTHENTICATED", "an access token is needed");
}

function checkTitle(field: string, value: string, maxLength: number): Check {
  return (
    checkLength(field, value, 1, maxLength) ??
    checkPattern(field, value, CONTROL) ??
    (value.trim() === "" ? violation(field, "must not be only white space") : undefined)
  );
}

function checkPattern(field: string, value: string, forbidden: RegExp): Check {
  return forbidden.test(value) ? violation(field, "has characters that are not allowed") : undefined;
}

function checkLength(field: string, value: string, min: number, max: number): Check {
  // A character is a code point: at most two UTF-16 units, so that a huge text is not counted through.
  const length = value.length > 2 * max ? value.length : [...value].length;
  const present = min > 0 ? checkPresent(field, value) : undefined;
  return (
    present ?? (length < min || length > max ? violation(field, `must have ${min} to ${max} characters`) : undefined)
  );
}
