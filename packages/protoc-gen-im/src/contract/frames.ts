// The frames of the WebSocket and the records on Kafka.
import { type DescField, type DescMessage, type FileRegistry, getOption, hasOption } from "@bufbuild/protobuf";
import { options } from "@im-gateway/proto";
import { commentOf } from "./comment.ts";

export interface FrameType {
  /** As on the wire: `send-message`. */
  readonly type: string;
  readonly field: DescField;
  readonly data: DescMessage;
  /** What the case and its message say. */
  readonly comment: string;
  /** The types of server frames that answer it; none on server frames. */
  readonly answers: readonly string[];
}

export interface RecordType {
  readonly topic: string;
  readonly key: string;
  readonly message: DescMessage;
}

export interface Frames {
  readonly client: readonly FrameType[];
  readonly server: readonly FrameType[];
}

/** @throws Error when the contract has no frames */
export function framesOf(contract: FileRegistry): Frames {
  const [client, server] = [casesOf(contract, "ClientFrame"), casesOf(contract, "ServerFrame")];
  const names = server.map(({ name }) => name);
  const frame = (field: DescField): FrameType => {
    const said = commentOf(field);
    const answered = /Answered by [^.]*/.exec(said)?.[0] ?? "";
    return {
      type: wireName(field.name),
      field,
      data: messageOf(field),
      comment: `${said} ${commentOf(messageOf(field))}`.trim().replaceAll(/\b[a-z]+(?:_[a-z]+)+\b/g, (word) => {
        return names.includes(word) ? wireName(word) : word;
      }),
      answers: names.filter((name) => new RegExp(`\\b${name}\\b`).test(answered)).map(wireName),
    };
  };
  return { client: client.map(frame), server: server.map(frame) };
}

/** Every message that names its topic. */
export function recordsOf(contract: FileRegistry): readonly RecordType[] {
  return [...contract.files]
    .flatMap((file) => file.messages)
    .filter((message) => hasOption(message, options.record))
    .map((message) => {
      const { topic, key } = getOption(message, options.record);
      return { topic, key, message };
    });
}

function casesOf(contract: FileRegistry, name: string): readonly DescField[] {
  const cases = contract.getMessage(`im.gateway.v1.${name}`)?.oneofs.find((oneof) => oneof.name === "data")?.fields;
  if (cases === undefined) {
    throw new Error(`the contract has no im.gateway.v1.${name} with a oneof data`);
  }
  return cases;
}

function messageOf(field: DescField): DescMessage {
  if (field.message === undefined) {
    throw new Error(`${field.parent.typeName}.${field.name} is not a message`);
  }
  return field.message;
}

function wireName(name: string): string {
  return name.replaceAll("_", "-");
}
