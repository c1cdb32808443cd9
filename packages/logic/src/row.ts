// node:sqlite hands out rows as records of anything; these read one column as what the STRICT schema says it is.
import type { SQLOutputValue } from "node:sqlite";
import { type DescEnum, isUnknownEnum, type UnknownEnum } from "@bufbuild/protobuf";

export type Row = Readonly<Record<string, SQLOutputValue>>;

/** @throws Error where the statement and its reader do not fit: a fault of ours. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") {
    throw unexpected(column, value);
  }
  return value;
}

/** undefined for NULL. */
export function optionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") {
    throw unexpected(column, value);
  }
  return value;
}

/** undefined for NULL. */
export function optionalInteger(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : integer(row, column);
}

export function bytes(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) {
    throw unexpected(column, value);
  }
  return value;
}

/**
 * A number of an open enum, whether or not this version has a name for it.
 * @param values the generated constant, `desc` its descriptor
 */
export function enumeration<E extends number>(
  row: Row,
  column: string,
  desc: DescEnum,
  values: Readonly<Record<string, E>>,
): E | UnknownEnum {
  const value = integer(row, column);
  if (isUnknownEnum(desc, value)) {
    return value;
  }
  const known = Object.values(values).find((candidate) => candidate === value);
  if (known === undefined) {
    throw unexpected(column, value);
  }
  return known;
}

function unexpected(column: string, value: SQLOutputValue | undefined): Error {
  return new Error(`the column ${column} holds ${value === null ? "NULL" : typeof value}`);
}
