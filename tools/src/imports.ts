// The imports of one source file, types included.
import { parseSync } from "rolldown/utils";

export interface Import {
  readonly specifier: string;
  /** From 1. */
  readonly line: number;
}

/**
 * Every module that a TypeScript file names by a literal: import and export … from, with and without `type`; `import()` as an expression
 * and as a type; `import x = require()` and `require()`.
 * @throws Error on a file that does not parse.
 */
export function importsOf(fileName: string, text: string): Import[] {
  const { program, errors } = parseSync(fileName, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${fileName}: ${error.message}`);
  const found: Import[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item);
    } else if (isNode(value)) {
      const literal = moduleLiteral(value);
      if (literal !== undefined) {
        found.push({ specifier: literal.value, line: text.slice(0, literal.start).split("\n").length });
      }
      for (const child of Object.values(value)) visit(child);
    }
  };
  visit(program);
  return found;
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

interface ModuleLiteral {
  readonly value: string;
  readonly start: number;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

function moduleLiteral(node: Node): ModuleLiteral | undefined {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportNamedDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
    case "TSImportType":
      return stringLiteral(node.source);
    case "TSExternalModuleReference":
      return stringLiteral(node.expression);
    case "CallExpression": {
      const isRequire = isNode(node.callee) && node.callee.type === "Identifier" && node.callee.name === "require";
      return isRequire && Array.isArray(node.arguments) ? stringLiteral(node.arguments[0]) : undefined;
    }
    default:
      return undefined;
  }
}

function stringLiteral(node: unknown): ModuleLiteral | undefined {
  if (!isNode(node) || typeof node.start !== "number") return undefined;
  if (node.type === "Literal" && typeof node.value === "string") return { value: node.value, start: node.start };
  if (node.type === "TemplateLiteral" && Array.isArray(node.quasis) && node.quasis.length === 1) {
    const value: unknown = node.quasis[0]?.value?.cooked;
    if (typeof value === "string") return { value, start: node.start };
  }
  return undefined;
}
