// All that the programs of a test file have written, over their restarts, and what must not be in it.
import { randomBytes } from "node:crypto";

export interface OutputLine {
  /** As the world calls it. */
  readonly process: string;
  readonly stream: "stdout" | "stderr";
  readonly line: string;
}

const lines: OutputLine[] = [];
/** What each is, by its text. */
const secrets = new Map<string, string>();

/**
 * On everything that people write: the client puts it on what it sends and takes it off what it gets, so that content as short as "1" can be
 * found.
 */
export const contentMark: string = `canary-${randomBytes(8).toString("hex")}`;

/** What the scenarios' accounts log in with. */
export const password: string = `password-${randomBytes(8).toString("hex")}`;

/** The embedded default shows it to people, on stderr. */
const demoPassword = "password123";
/** Shorter ones would be found everywhere. */
const minSecretLength = 8;

keepSecret("content", contentMark);
keepSecret("a password", password);
// The worlds run with the default.
keepSecret("jwt.secret", "your-secret-key");

export function recordLine(line: OutputLine): void {
  lines.push(line);
}

/** Everything since the file's beginning. */
export function recordedLines(): readonly OutputLine[] {
  return lines;
}

/** From now on `value` is in no line. @param what names it in the complaint */
export function keepSecret(what: string, value: unknown): void {
  if (typeof value !== "string") {
    return;
  }
  // The first part of a token is the same in all of them.
  const [, ...parts] = /^[\w-]+\.[\w-]+\.[\w-]*$/.test(value) ? value.split(".") : [];
  for (const secret of [value, ...parts]) {
    if (secret.length >= minSecretLength && secret !== demoPassword) {
      secrets.set(secret, what);
    }
  }
}

/** What was kept secret and stands in a line: as it is, or as programs write bytes. */
export function leaksIn(recorded: readonly OutputLine[]): readonly string[] {
  // Bytes as JSON has them: {"0":104,"1":105}.
  const searched = recorded.map(({ line }) => (/"\d+":\d+,"\d+":/.test(line) ? line.replaceAll(/"\d+":/g, "") : line));
  const all = searched.join("\n");
  const found = [...secrets]
    .flatMap(([secret, what]) => [...writings(secret)].map((text) => ({ text, what })))
    .filter(({ text }) => all.includes(text));
  return recorded.flatMap(({ process, stream, line }, index) =>
    found
      .filter(({ text }) => searched[index]?.includes(text))
      .map(({ text, what }) => `${process}, ${stream}: ${what} (${text}) in ${line.slice(0, 1000)}`),
  );
}

/** How many are looked for. */
export function secretCount(): number {
  return secrets.size;
}

function writings(secret: string): ReadonlySet<string> {
  const bytes = Buffer.from(secret);
  // Base64 of bytes that begin at any place of a longer text, without what its neighbours would change.
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    return text.slice(shift === 0 ? 0 : shift + 1, -4);
  });
  return new Set([secret, encodeURIComponent(secret), bytes.toString("hex"), [...bytes].join(","), ...base64]);
}
