// How a configuration value is written. Every source gives text (or a list of texts); a form turns it into a typed value or says what it wants.
import { isIPv6 } from "node:net";
import * as v from "valibot";

/** What a source gives: text, or a list where the file has one. */
export type RawValue = string | readonly string[];

/** A valibot schema from what a source gives to the value that the program uses. */
export type Form<T> = v.GenericSchema<RawValue, T>;

/** How a value is written in JSON, for what shows values and for editors. */
export interface Notation {
  /** A list is one text with commas outside of files; a number may also be text, where it has a unit. */
  readonly kind: "text" | "number" | "list";
  /** A JSON Schema of what a file may have. It may let a mistake pass, but refuses nothing that the form takes. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A network address. As a place to listen at, host "" is every interface and port 0 a free port. */
export interface Address {
  /** A name, an IPv4 address or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Reads one text: `undefined` where it is not what the form wants. */
interface Reader<T> {
  /** Follows "is not" in the message, and ends in an example. */
  readonly wants: string;
  readonly read: (text: string) => T | undefined;
  /** As in `Notation`. */
  readonly json: Notation["json"];
  /** Default: text. */
  readonly kind?: "number";
  /** Whether a message may quote the text. */
  readonly quotes?: false;
}

/** Inclusive bounds of a number. */
interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** YAML reads `0123` as a number, and here it means the text that stands there. */
const anyScalar = ["string", "number", "boolean"];
const namePattern = /^[A-Za-z0-9._-]+$/;
const pathPattern = /^(?:\/[A-Za-z0-9._~-]+)+$/;
const digitsPattern = /^\d+$/;
const durationPattern = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/;
const bytesPattern = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/;
const addressPattern = /^(?:\[([^\]]*)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/;
const mediaTypePattern = /^[A-Za-z0-9.+_/-]+$/;
const queryKeyPattern = /^[^\s&=#]+$/;

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const unitBytes: Readonly<Record<string, number>> = { "": 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Any text that a person would see whole: no control characters, no white space at its ends. Never quoted in a message: it may be a secret. */
export function text(): Form<string> {
  return one({
    wants: "text: at least one character, no control characters, no white space at its ends",
    read: (given) => (given !== "" && given.trim() === given && !/\p{Cc}/u.test(given) ? given : undefined),
    json: { type: anyScalar, minLength: 1 },
    quotes: false,
  });
}

/** What Kafka takes for a topic, and etcd and log readers for an id. Bounds: the broker refuses a topic of more than 249 characters. */
export function name(maxLength: number): Form<string> {
  return one({
    wants: `a name: 1 to ${maxLength} letters, digits, ".", "_" or "-"`,
    read: (given) => (namePattern.test(given) && given.length <= maxLength ? given : undefined),
    json: { type: anyScalar, pattern: namePattern.source, maxLength },
  });
}

/** The path of a URL. */
export function urlPath(): Form<string> {
  return one({
    wants: "a path, such as /ws",
    read: (given) => (pathPattern.test(given) ? given : undefined),
    json: { type: "string", pattern: pathPattern.source },
  });
}

/** One of a closed set. */
export function choice<const T extends string>(...values: readonly T[]): Form<T> {
  return one({
    wants: `one of ${values.join(", ")}`,
    read: (given) => values.find((value) => value === given),
    json: { enum: values },
  });
}

/** A whole number. */
export function integer({ min, max }: Bounds): Form<number> {
  return one({
    wants: `a whole number from ${min} to ${max}`,
    read: (given) => (digitsPattern.test(given) ? within(Number(given), { min, max }) : undefined),
    json: { type: ["integer", "string"], minimum: min, maximum: max, pattern: digitsPattern.source },
    kind: "number",
  });
}

const dayMs = 86_400_000;

/**
 * A duration in Go's notation ("200ms", "1.5s", "1h30m"), read as milliseconds. Default bounds: 1 ms and 24 h, below the 24.8 days past which
 * a timer fires at once.
 */
export function duration({ min = 1, max = dayMs }: Partial<Bounds> = {}): Form<number> {
  return one({
    wants: `a duration from ${writtenMs(min)} to ${writtenMs(max)}: write a number with its unit (ms, s, m, h), such as 30s`,
    read: (given) => {
      if (!durationPattern.test(given)) return undefined;
      const parts = [...given.matchAll(/([\d.]+)([a-z]+)/g)];
      const ms = parts.reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * (unitMs[unit] ?? Number.NaN), 0);
      return within(Math.round(ms), { min, max });
    },
    json: { type: "string", pattern: durationPattern.source },
  });
}

/** A number of bytes in powers of 1024 ("64KiB", "1MiB"), or plain ("65536"). Default bounds: 1 B and 1 GiB. */
export function bytes({ min = 1, max = 2 ** 30 }: Partial<Bounds> = {}): Form<number> {
  return one({
    wants: `a size from ${writtenBytes(min)} to ${writtenBytes(max)}: write bytes, or a number with KiB, MiB or GiB, such as 64KiB`,
    read: (given) => {
      const [, amount, unit = ""] = bytesPattern.exec(given) ?? [];
      const size = Number(amount) * (unitBytes[unit] ?? Number.NaN);
      return Number.isInteger(size) ? within(size, { min, max }) : undefined;
    },
    json: { type: ["integer", "string"], minimum: min, maximum: max, pattern: bytesPattern.source },
    kind: "number",
  });
}

/** Both can be opened: one of the ports is free to choose, or they differ, or they are of different hosts. */
export function canBothListen(one: Address, other: Address): boolean {
  const everywhere = (host: string): boolean => ["", "0.0.0.0", "::"].includes(host);
  const meet = one.host === other.host || everywhere(one.host) || everywhere(other.host);
  return one.port === 0 || one.port !== other.port || !meet;
}

/** Only this machine reaches it. */
export function isLoopback({ host }: Address): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Where to listen: ":8080" (every interface), "127.0.0.1:0" (a free port), "[::1]:80". */
export function listenAddress(): Form<Address> {
  return one({
    wants: "an address to listen at: write host:port, or :port for every interface, such as :8080",
    read: (given) => readAddress(given),
    json: addressJson,
  });
}

/** Where others listen: "im-logic:9001", "10.0.0.7:9001", "[::1]:9001". */
export function dialAddress(): Form<Address> {
  return one(dialReader);
}

/** Servers to dial, each "host:port" as their clients take it. */
export function servers(): Form<readonly string[]> {
  return many({ ...dialReader, read: (given) => dialReader.read(given) && given });
}

/** Values of the JWT header `typ` (RFC 7515 §4.1.9). */
export function mediaTypes(): Form<readonly string[]> {
  return many({
    wants: "a media type without its application/, such as at+jwt",
    read: (given) => (mediaTypePattern.test(given) ? given : undefined),
    json: { type: anyScalar, pattern: mediaTypePattern.source },
  });
}

/** Names of query parameters, as they are once decoded. */
export function queryKeys(): Form<readonly string[]> {
  return many({
    wants: "a name of a query parameter, such as utm_source",
    read: (given) => (queryKeyPattern.test(given) ? given : undefined),
    json: { type: anyScalar, pattern: queryKeyPattern.source },
  });
}

/** "host:port", an IPv6 address in brackets. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A value as JSON has it: a list as a list, a plain number as a number. */
export function toJson({ kind }: Notation, value: RawValue): string | number | readonly string[] {
  if (typeof value !== "string") return value;
  if (kind === "list") return splitList(value);
  return kind === "number" && digitsPattern.test(value) ? Number(value) : value;
}

const addressJson: Notation["json"] = { type: "string", pattern: addressPattern.source };

const dialReader: Reader<Address> = {
  wants: "an address to connect to: write host:port, such as localhost:9092",
  read: (given) => {
    const address = readAddress(given);
    return address === undefined || address.host === "" || address.port === 0 ? undefined : address;
  },
  json: addressJson,
};

function readAddress(given: string): Address | undefined {
  const [, bracketed, host = "", digits] = addressPattern.exec(given) ?? [];
  if (digits === undefined || Number(digits) > 65_535) return undefined;
  if (bracketed !== undefined && !isIPv6(bracketed)) return undefined;
  return { host: bracketed ?? host, port: Number(digits) };
}

function within(value: number, { min, max }: Bounds): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

function writtenMs(ms: number): string {
  const unit = ["h", "m", "s"].find((name) => ms > 0 && ms % (unitMs[name] ?? 1) === 0) ?? "ms";
  return `${ms / (unitMs[unit] ?? 1)}${unit}`;
}

function writtenBytes(size: number): string {
  const unit = ["GiB", "MiB", "KiB"].find((name) => size > 0 && size % (unitBytes[name] ?? 1) === 0) ?? "B";
  return `${size / (unitBytes[unit] ?? 1)}${unit}`;
}

function one<T>(reader: Reader<T>): Form<T> {
  return v.pipe(
    v.custom<RawValue>((given) => typeof given === "string", "takes one value, not a list"),
    v.rawTransform<RawValue, T>(({ dataset, addIssue, NEVER }) => {
      const given = String(dataset.value);
      const value = reader.read(given);
      if (value !== undefined) return value;
      addIssue({ message: complaint(given, reader) });
      return NEVER;
    }),
    notation({ kind: reader.kind ?? "text", json: reader.json }),
  );
}

/** A list in the file, or one text with commas. */
function many<T>(reader: Reader<T>): Form<readonly T[]> {
  return v.pipe(
    v.custom<RawValue>((given) => typeof given === "string" || Array.isArray(given)),
    v.rawTransform<RawValue, readonly T[]>(({ dataset, addIssue, NEVER }) => {
      const given = typeof dataset.value === "string" ? splitList(dataset.value) : dataset.value;
      if (given.length === 0) {
        addIssue({ message: "an empty list" });
        return NEVER;
      }
      const values: T[] = [];
      for (const part of given) {
        const value = reader.read(part);
        if (value === undefined) addIssue({ message: complaint(part, reader) });
        else values.push(value);
      }
      return values;
    }),
    notation({
      kind: "list",
      json: { anyOf: [{ type: "array", items: reader.json, minItems: 1 }, { type: "string" }] },
    }),
  );
}

function splitList(given: string): string[] {
  return given.split(",").map((part) => part.trim());
}

/** Goes with the form into each key that is made of it. */
function notation<T>(notation: Notation): v.MetadataAction<T, { readonly notation: Notation }> {
  return v.metadata({ notation });
}

function complaint(given: string, reader: Reader<unknown>): string {
  const shown = given.length > 80 ? `${given.slice(0, 79)}…` : given;
  const subject = reader.quotes === false ? "the value" : JSON.stringify(shown);
  return `${subject} is not ${reader.wants}`;
}
