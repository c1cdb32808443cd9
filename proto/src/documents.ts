// What the gateway serves about the contract: both documents, and the page of both for people.

export { asyncapi } from "./gen/documents/asyncapi.ts";
export { internalOpenapi } from "./gen/documents/internal-openapi.ts";
export { openapi } from "./gen/documents/openapi.ts";
export { page } from "./gen/documents/page.ts";
