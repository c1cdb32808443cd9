// The values of records on Kafka: JSON in the profile of CONTRACT §1.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  type DownstreamRecord,
  DownstreamRecordSchema,
  type UpstreamRecord,
  UpstreamRecordSchema,
} from "@im-gateway/proto";
import { failure } from "../errors.ts";
import { readDownstreamRecord, writeUpstreamRecord } from "../json/fast-path.ts";
import { readMessage } from "../json/read.ts";
import { type JsonTree, parseJson } from "../json/text.ts";
import { writeMessage } from "../json/write.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** What Kafka takes by default; a topic that takes more must not make one record a burden for every client. */
const maxRecordBytes = 1024 * 1024;

/**
 * Unknown fields are ignored, so that either side can be newer.
 * @throws ConnectError invalid_argument on anything that is not a record of this type
 */
export function decodeRecord<D extends DescMessage>(desc: D, value: Uint8Array | null): MessageShape<D> {
  return readMessage(desc, parseValue(value), "ignore");
}

/** As `decodeRecord`, for the one type that comes by the thousand. */
export function decodeDownstreamRecord(value: Uint8Array | null): DownstreamRecord {
  const tree = parseValue(value);
  return readDownstreamRecord(tree) ?? readMessage(DownstreamRecordSchema, tree, "ignore");
}

export function encodeRecord<D extends DescMessage>(desc: D, message: MessageShape<D>): string {
  return JSON.stringify(writeMessage(desc, message));
}

/** As `encodeRecord`, for the one type that goes by the thousand. */
export function encodeUpstreamRecord(record: UpstreamRecord): string {
  return JSON.stringify(writeUpstreamRecord(record) ?? writeMessage(UpstreamRecordSchema, record));
}

function parseValue(value: Uint8Array | null): JsonTree {
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
  return parseJson(text);
}
