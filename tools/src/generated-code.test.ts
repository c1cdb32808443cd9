import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import { staleGeneratedFiles } from "./generated-code.ts";

it("names every generated file that is out of date, missing or left over", () => {
  const root = mkdtempSync(join(tmpdir(), "im-gateway-protos-"));
  try {
    cpSync(join(import.meta.dirname, "../../proto"), join(root, "proto"), {
      recursive: true,
      filter: (path) => !["node_modules", "dist"].includes(basename(path)),
    });
    const sdk = "packages/client-sdk/src/gen";
    cpSync(join(import.meta.dirname, "../..", sdk), join(root, sdk), { recursive: true });
    const pages = "docs/protocol";
    cpSync(join(import.meta.dirname, "../..", pages), join(root, pages), { recursive: true });
    expect(staleGeneratedFiles(root)).toEqual([]);

    const generated = join(root, "proto/src/gen");
    const frame = join(generated, "im/gateway/v1/frame_pb.ts");
    writeFileSync(frame, `${readFileSync(frame, "utf8")}\n`);
    rmSync(join(generated, "im/gateway/v1/record_pb.ts"));
    rmSync(join(root, sdk, "types.ts"));
    writeFileSync(join(root, pages, "rest.md"), "# REST\n");
    rmSync(join(generated, "documents/openapi.ts"));
    mkdirSync(join(generated, "im/old/v1"), { recursive: true });
    writeFileSync(join(generated, "im/old/v1/old_pb.ts"), "");
    expect(staleGeneratedFiles(root)).toEqual([
      "docs/protocol/rest.md: out of date",
      "packages/client-sdk/src/gen/types.ts: missing",
      "proto/src/gen/documents/openapi.ts: missing",
      "proto/src/gen/im/gateway/v1/frame_pb.ts: out of date",
      "proto/src/gen/im/gateway/v1/record_pb.ts: missing",
      "proto/src/gen/im/old/v1/old_pb.ts: no .proto file gives it",
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
