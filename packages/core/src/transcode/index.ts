export { type BoundRequest, bindRequest } from "./bind.ts";
export { type EncodedRequest, encodeRequest } from "./encode.ts";
export type { BoundVariable, RequestBody, Route, RouteMethod } from "./routes.ts";
export {
  type Answered,
  createTranscoder,
  type RawRequest,
  type Transcoder,
  type TranscoderOptions,
} from "./transcoder.ts";
