// What is generated from the schemas and committed: the reference and the JSON Schemas for editors.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ConfigKey, gatewayConfig, logicConfig } from "../config/index.ts";
import { configJsonSchema } from "./json-schema.ts";
import { referenceTable } from "./reference-table.ts";

/** Each document by its path in the repository. */
export function configDocuments(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/configuration.md", reference],
    ["configs/im-gateway.schema.json", jsonSchema("im-gateway", gatewayConfig.keys)],
    ["configs/im-logic.schema.json", jsonSchema("im-logic", logicConfig.keys)],
  ]);
}

/** One line for each document below `root` that is not what the schemas give; empty when all is fresh. */
export function staleConfigDocuments(root: string): readonly string[] {
  return [...configDocuments()].flatMap(([path, text]) => {
    if (!existsSync(join(root, path))) return [`${path}: missing`];
    return readFileSync(join(root, path), "utf8") === text ? [] : [`${path}: out of date`];
  });
}

function jsonSchema(program: string, keys: readonly ConfigKey[]): string {
  return `${JSON.stringify(configJsonSchema(program, keys), null, 2)}\n`;
}

const reference = `<!-- Generated from packages/adapters/src/config by make generate: change it there. -->

# Configuration

Each key can be set in the file of \`--config\` (YAML), in the environment and by \`--set KEY=VALUE\`; each of these wins over those before it. In the file
\`server.http_addr\` is \`http_addr\` below \`server\`. Lists are lists in the file, and elsewhere one text with commas. Where a key has two names in the
environment, the second one wins.

Durations are numbers with their unit (\`200ms\`, \`1.5s\`, \`1h30m\`), sizes are bytes or numbers with \`KiB\`, \`MiB\` or \`GiB\`, addresses are \`host:port\`, where
\`:8080\` listens on every interface and port 0 takes a free one.

The sections \`kafka\`, \`coordinator\`, \`redis\` and \`grpc.logic\` are there when any source sets a key of them; their defaults count only then.

    bin/im-gateway check-config --config configs/config.yaml   # every mistake at once, with its line and column; exit 0 or 2
    bin/im-gateway print-config --config configs/config.yaml   # every key with its value and its source, secrets masked

Editors check and complete a file that begins with \`# yaml-language-server: $schema=\` and the path of
[\`configs/im-gateway.schema.json\`](../configs/im-gateway.schema.json) or [\`configs/im-logic.schema.json\`](../configs/im-logic.schema.json).

\`APP_ENV=production\` refuses the default secret, one of less than 32 bytes, and every embedded part.

## im-gateway

${referenceTable(gatewayConfig.keys)}
## im-logic

${referenceTable(logicConfig.keys)}`;
