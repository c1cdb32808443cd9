// Records ↔ bytes: the values on Kafka are JSON in the profile of CONTRACT §1.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { readMessage } from "../json/read.ts";
import { parseJson } from "../json/text.ts";
import { writeMessage } from "../json/write.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** What Kafka takes by default; a topic that takes more must not make one record a burden for every client. */
const maxRecordBytes = 1024 * 1024;

/**
 * Unknown fields are ignored, so that either side can be newer.
 * @throws ConnectError invalid_argument on anything that is not a record of this type
 */
export function decodeRecord<D extends DescMessage>(desc: D, value: Uint8Array | null): MessageShape<D> {
  if (value === null) {
    throw failure(Code.InvalidArgument, "EMPTY_RECORD", "the record has no value");
  }
  if (value.length > maxRecordBytes) {
    throw failure(Code.InvalidArgument, "RECORD_TOO_LARGE", `the record is larger than ${maxRecordBytes} bytes`);
  }
  let text: string;
  try {
    text = utf8.decode(value);
  } catch (cause) {
    throw failure(Code.InvalidArgument, "MALFORMED_JSON", "the record is not UTF-8", { cause });
  }
  return readMessage(desc, parseJson(text), "ignore");
}

export function encodeRecord<D extends DescMessage>(desc: D, message: MessageShape<D>): Uint8Array {
  return encoder.encode(JSON.stringify(writeMessage(desc, message)));
}
