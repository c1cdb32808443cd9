export type { Route } from "./routes.ts";
export { createTranscoder, type RawRequest, type Transcoder, type TranscoderOptions } from "./transcoder.ts";
