// Passwords are kept as scrypt hashes (RFC 7914), in the PHC string format: the parameters travel with the hash.
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

interface Parameters {
  /** log2 of scrypt's N. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

/** OWASP Password Storage Cheat Sheet, scrypt: N=2^14, r=8, p=5. */
const current: Parameters = { ln: 14, r: 8, p: 5 };
const saltBytes = 16;
const keyBytes = 32;
const PHC = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/;

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const key = await derive(password, salt, current);
  return `$scrypt$ln=${current.ln},r=${current.r},p=${current.p}$${base64(salt)}$${base64(key)}`;
}

/** @param stored undefined where there is no such account: answers false, after the same work */
export async function verifyPassword(password: string, stored: string | undefined): Promise<boolean> {
  const { parameters, salt, key } = stored === undefined ? nobody() : parse(stored);
  return timingSafeEqual(await derive(password, salt, parameters), key);
}

function nobody(): { parameters: Parameters; salt: Buffer; key: Buffer } {
  return { parameters: current, salt: randomBytes(saltBytes), key: randomBytes(keyBytes) };
}

function parse(stored: string): { parameters: Parameters; salt: Buffer; key: Buffer } {
  const [, ln, r, p, salt, key] = PHC.exec(stored) ?? [];
  if (salt === undefined || key === undefined) {
    throw new Error("a stored password hash is malformed");
  }
  return {
    parameters: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, "base64"),
    key: Buffer.from(key, "base64"),
  };
}

function derive(password: string, salt: Buffer, { ln, r, p }: Parameters): Promise<Buffer> {
  const cost = 2 ** ln;
  // Twice what scrypt itself needs (128 * N * r): OpenSSL counts its own overhead too.
  const options: ScryptOptions = { cost, blockSize: r, parallelization: p, maxmem: 256 * cost * r };
  return new Promise((resolve, reject) => {
    // NFKC: the same password typed on another keyboard gives the same bytes (NIST SP 800-63B §5.1.1.2).
    scrypt(password.normalize("NFKC"), salt, keyBytes, options, (error, key) =>
      // Node says null where all is well, Bun undefined.
      error instanceof Error ? reject(error) : resolve(key),
    );
  });
}

function base64(value: Buffer): string {
  return value.toString("base64").replace(/=+$/, "");
}
