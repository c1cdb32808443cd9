// A port that can not be opened is a matter of the configuration: the error names the key.

/** @param key of the configuration, `server.http_addr` */
export async function opened<T>(key: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${key}: ${reason}; set another with --set ${key}=HOST:PORT`, { cause });
  }
}
