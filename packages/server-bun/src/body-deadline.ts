// The time in which the body of a request has to be whole. Bun's own timeout starts anew with what comes, so that a body could drip for long.

export interface Answering {
  /** Answers the request. */
  readonly answer: (request: Request) => Promise<Response>;
  /** What is answered when the body is not whole in time. */
  readonly late: () => Response;
  /** The body is whole. */
  readonly arrived: () => void;
}

/** Answers a request with a body, by 408 and the end of the connection when the body is not whole in time. */
export function bodyDeadline(
  request: Request,
  body: ReadableStream<Uint8Array>,
  timeoutMs: number,
  { answer, late: lateAnswer, arrived }: Answering,
): Promise<Response> {
  const { url, method, headers, signal } = request;
  const reader = body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Response>((resolve) => {
    timer = setTimeout(() => resolve(lateAnswer()), timeoutMs);
  });
  const timed = new ReadableStream<Uint8Array>({
    start(controller) {
      // Cancelled it would look whole to whoever reads it.
      void late.then(() => controller.error(new Error("the body did not come in time")));
    },
    async pull(controller) {
      const chunk = await reader.read();
      if (chunk.done) {
        clearTimeout(timer);
        arrived();
        controller.close();
      } else {
        controller.enqueue(chunk.value);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const answered = answer(new Request(url, { method, headers, signal, body: timed, duplex: "half" }));
  return Promise.race([answered, late]).finally(() => clearTimeout(timer));
}
