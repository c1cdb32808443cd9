// Contracts that nobody generated code for: descriptors made at run time from a FileDescriptorSet, with or without our own options.
import { create, createFileRegistry, type DescFile, fromBinary, getOption, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { MessageService, options } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { echo, libraryOf, rule, transcoderOf } from "../../test/library.ts";
import { createTranscoder } from "./transcoder.ts";

function withDependencies(file: DescFile, found: Set<DescFile> = new Set()): Set<DescFile> {
  for (const dependency of file.dependencies) {
    withDependencies(dependency, found);
  }
  return found.add(file);
}

test("a descriptor set from anywhere is served by its rules and our options", async () => {
  const files = [...withDependencies(MessageService.file)].map(({ proto }) => proto);
  const bytes = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: files }));
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  expect(registry.getExtension("google.api.http")).not.toBe(undefined);
  const byName = createTranscoder({ registry, services: ["im.logic.v1.MessageService"], transport: echo });
  expect(
    byName.routes.map(({ httpMethod, path, successStatus }) => `${httpMethod} ${path} ${successStatus}`),
  ).toContain("POST /api/v1/messages 202");
  const response = await byName.handle({
    method: "POST",
    path: "/api/v1/conversations/single:1:2/messages",
    headers: new Headers(),
    body: new TextEncoder().encode('{"content":"x"}'),
  });
  expect(response.status).toBe(202);
});

test("what stands under our number in another contract is not ours", () => {
  const service = libraryOf([rule("GET /a")]);
  const [method] = service.methods;
  const text = Uint8Array.of(5, 0x18, 0xff, 0xff, 0xff, 0x7f);
  method?.proto.options?.$unknown?.push({ no: options.method.number, wireType: 2, data: text });
  expect(() => method && getOption(method, options.method)).not.toThrow();
  expect(transcoderOf([], { services: [service] }).routes).toMatchObject([{ successStatus: 200 }]);
});
