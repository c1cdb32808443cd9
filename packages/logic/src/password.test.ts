import { expect, it } from "vitest";
import { hashPassword, verifyPassword } from "./password.ts";

it("knows the right password, in every way that Unicode has to write it", async () => {
  const stored = await hashPassword("Ångström");
  expect(stored).toMatch(/^\$scrypt\$ln=14,r=8,p=5\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(await verifyPassword("Ångström".normalize("NFD"), stored)).toBe(true);
  expect(await verifyPassword("Angstrom", stored)).toBe(false);
});

it("hashes the same password differently each time", async () => {
  expect(await hashPassword("password")).not.toBe(await hashPassword("password"));
});

it("takes the parameters from the stored hash", async () => {
  // scrypt("password", "NaCl"), N=1024, r=8, p=16: RFC 7914 §12, the first 32 bytes.
  const key = Buffer.from("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162", "hex");
  const stored = `$scrypt$ln=10,r=8,p=16$${Buffer.from("NaCl").toString("base64").replace(/=+$/, "")}$${key.toString("base64").replace(/=+$/, "")}`;
  expect(await verifyPassword("password", stored)).toBe(true);
});

it("works as hard for nobody as for somebody", async () => {
  const stored = await hashPassword("password");
  const duration = async (hash: string | undefined): Promise<number> => {
    const start = performance.now();
    expect(await verifyPassword("wrong", hash)).toBe(false);
    return performance.now() - start;
  };
  const somebody = await duration(stored);
  // Far apart on purpose: no work at all takes a thousandth.
  expect(await duration(undefined)).toBeGreaterThan(somebody / 10);
});
