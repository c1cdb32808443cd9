// The unary and server-streaming methods of the contract: typed, and as one short line each that says how HTTP has them.
import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { http, options } from "@im-gateway/proto";
import { docComment } from "./doc-comment.ts";
import { isIdentity, isRequired, type NameOf, visibleFields } from "./shapes.ts";

/** `AuthService` is `auth`. */
export function serviceKey({ name }: DescService): string {
  return lowerFirst(name.replace(/Service$/, ""));
}

export function serviceType(service: DescService, requestName: NameOf, answerName: NameOf): string {
  const methods = methodsOf(service).map((method) => {
    const request = `request${requestIsNeeded(method) ? "" : "?"}: ${requestName(method.input)}`;
    const answer = answerName(method.output);
    const result = method.methodKind === "unary" ? `Promise<${answer}>` : `AsyncIterable<${answer}>`;
    return `${docComment(method, "  ")}  ${lowerFirst(method.name)}(${request}, options?: CallOptions): ${result};\n`;
  });
  return `${docComment(service)}export type ${service.name} = {\n${methods.join("")}};\n`;
}

/** Of the unary ones: what `call` takes and answers, by `package.Service/Method`. */
export function methodTypes(service: DescService, requestName: NameOf, answerName: NameOf): string {
  return methodsOf(service)
    .filter(({ methodKind }) => methodKind === "unary")
    .map(
      (method) =>
        `  "${service.typeName}/${method.name}": { request: ${requestName(method.input)}; response: ${answerName(method.output)} };\n`,
    )
    .join("");
}

export function routeLines(service: DescService): string {
  const lines = methodsOf(service).map((method) => `    ${lowerFirst(method.name)}: "${route(method)}",\n`);
  return `  ${serviceKey(service)}: {\n${lines.join("")}  },\n`;
}

export function methodsOf(service: DescService): readonly DescMethod[] {
  return service.methods.filter(({ methodKind }) => methodKind === "unary" || methodKind === "server_streaming");
}

/** Verb, path, where the body goes (`*`, a field, `-`), and `public` or `stream` where it is one. */
function route(method: DescMethod): string {
  const { pattern, body, responseBody } = getOption(method, http);
  const refuse = (what: string): Error => new Error(`${method.parent.typeName}/${method.name}: ${what}`);
  if (pattern.case === undefined || pattern.case === "custom") {
    throw refuse("needs a google.api.http rule with a verb");
  }
  if (/[*=]/.test(pattern.value) || responseBody !== "") {
    throw refuse("the SDK encodes plain {variables} and whole answers only");
  }
  const words = [pattern.case.toUpperCase(), pattern.value, body === "" ? "-" : body];
  const isPublic = getOption(method, options.method).auth === options.Auth.PUBLIC;
  if (method.methodKind === "server_streaming") {
    words.push("stream");
  } else if (isPublic && !method.input.fields.some(isIdentity)) {
    words.push("public");
  }
  return words.join(" ");
}

function requestIsNeeded(method: DescMethod): boolean {
  return visibleFields(method.input, "request").some(isRequired);
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
