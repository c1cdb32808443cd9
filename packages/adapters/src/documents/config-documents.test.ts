import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type ConfigSchema, gatewayConfig, loadConfig, logicConfig, readConfigFile } from "../config/index.ts";
import { configDocuments, staleConfigDocuments } from "./config-documents.ts";
import { configJsonSchema } from "./json-schema.ts";

const root = join(import.meta.dirname, "../../../..");

function accepts<T>(schema: ConfigSchema<T>, yaml: string): { editor: boolean; program: boolean } {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(configJsonSchema("a program", schema.keys));
  let program = true;
  try {
    loadConfig(schema, { file: { name: "c.yaml", text: yaml }, env: {}, set: [] });
  } catch {
    program = false;
  }
  return { editor: validate(parse(yaml)), program };
}

test("each document that is missing or out of date is named", () => {
  const copy = mkdtempSync(join(tmpdir(), "im-documents-"));
  try {
    for (const [path, text] of configDocuments()) {
      mkdirSync(dirname(join(copy, path)), { recursive: true });
      writeFileSync(join(copy, path), text);
    }
    expect(staleConfigDocuments(copy)).toEqual([]);
    writeFileSync(join(copy, "docs/configuration.md"), "");
    rmSync(join(copy, "configs/im-logic.schema.json"));
    expect(staleConfigDocuments(copy)).toEqual([
      "docs/configuration.md: out of date",
      "configs/im-logic.schema.json: missing",
    ]);
  } finally {
    rmSync(copy, { recursive: true });
  }
});

describe("the reference", () => {
  const rows = (configDocuments().get("docs/configuration.md") ?? "")
    .split("\n")
    .filter((line) => line.startsWith("| `"));

  test("has a row for each key of both programs", () => {
    const keys = [...gatewayConfig.keys, ...logicConfig.keys].map(({ key }) => key);
    expect(rows.map((row) => /^\| `([^`]+)` \|/.exec(row)?.[1])).toEqual(keys);
  });

  test.each([
    '| `log.level` | `"info"` | `LOG_LEVEL`, `IM__LOG__LEVEL` | The least important lines that are written |',
    "| `kafka.partitions` | `6` | `IM__KAFKA__PARTITIONS` | Partitions of the shared topics that are made |",
    "| `redis.addr` |  | `IM__REDIS__ADDR` | Where Redis is; without effect yet. Required in its section |",
    "| `gateway_id` |  | `GATEWAY_ID`, `IM__GATEWAY_ID` | This gateway's name; default: gateway-&lt;host>-&lt;random> |",
  ])("%s", (row) => {
    expect(rows).toContain(row);
  });
});

describe("the JSON Schemas", () => {
  test.each<[string, string, ConfigSchema<unknown>]>([
    ["config.yaml", "im-gateway.schema.json", gatewayConfig],
    ["im-logic.yaml", "im-logic.schema.json", logicConfig],
  ])("take configs/%s, which names %s", async (file, name, schema) => {
    const { text } = await readConfigFile(join(root, "configs", file));
    expect(text.split("\n")[0]).toBe(`# yaml-language-server: $schema=./${name}`);
    expect(accepts(schema, text)).toEqual({ editor: true, program: true });
  });

  test.each([gatewayConfig, logicConfig])("take each key's default, and describe it", ({ keys }) => {
    const ajv = new Ajv2020({ allowUnionTypes: true });
    for (const { key, notation, default: value } of keys) {
      if (value !== undefined) expect(ajv.validate(notation.json, value), key).toBe(true);
    }
  });

  test.each([
    "",
    "kafka:\ncoordinator: {}\ngrpc:\n  logic:\n",
    "gateway_id: 1e3\njwt: {secret: 0123, issuer: true}\n",
    "server: {http_addr: :80, max_body_bytes: 65536, read_timeout: 1h30m, ws_path: /a/b}",
    "server: {http_addr: '[::1]:80', max_body_bytes: 64KiB}",
    "kafka: {brokers: 'a:1,b:2', partitions: 7, topics: {upstream: 12}}",
    "kafka: {brokers: [a:1, b:2], partitions: '7', replication_factor: 3}",
    "log: {level: warn, format: pretty}\napp_env: development",
  ])("take what the program takes: %j", (yaml) => {
    expect(accepts(gatewayConfig, yaml)).toEqual({ editor: true, program: true });
  });

  test.each([
    "server: {htp_addr: :80}",
    "colour: red",
    "server.ws_path: /x",
    "server: :8080",
    "server: [http_addr]",
    "server: {http_addr: }",
    "server: {http_addr: 8080}",
    "server: {read_timeout: 30}",
    "server: {read_timeout: 30 s}",
    "server: {max_body_bytes: 1 MB}",
    "server: {max_body_bytes: 0}",
    "server: {ws_path: ws}",
    "gateway_id: a b",
    "jwt: {secret: ''}",
    "kafka: {brokers: []}",
    "kafka: {brokers: [a]}",
    "kafka: {brokers: [a:1], partitions: 0}",
    "kafka: {brokers: [a:1], partitions: many}",
    "kafka: {brokers: [a:1], topics: {upstream: a/b}}",
    "log: {level: loud}",
    "- log",
  ])("refuse what the program refuses: %j", (yaml) => {
    expect(accepts(gatewayConfig, yaml)).toEqual({ editor: false, program: false });
  });
});
