// Log lines for people at a terminal.

/** `12:00:00.000 INFO  kafka: ready topic="upstream"`, of one JSON line; the time is UTC. */
export function prettyLine(json: string): string {
  const { level, module, message, timestamp, ...fields }: Readonly<Record<string, unknown>> = JSON.parse(json);
  const time = String(timestamp).slice(11, 23);
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
  return `${time} ${String(level).toUpperCase().padEnd(5)} ${module}: ${message}${rest.join("")}`;
}
