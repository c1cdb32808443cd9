// A method as grpc-js takes it.
import { type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

export interface Codec<I extends DescMessage, O extends DescMessage> {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly serialize: (message: MessageShape<I>) => Buffer;
  /** grpc-js turns what it throws into an `internal` status. */
  readonly deserialize: (bytes: Buffer) => MessageShape<O>;
}

export function codecOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
): Codec<I, O> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize(message) {
      const bytes = toBinary(method.input, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    // As a plain Uint8Array, because the `bytes` fields of the message become views of it.
    deserialize: (bytes) => fromBinary(method.output, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  };
}
