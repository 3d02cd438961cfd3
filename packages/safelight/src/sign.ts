import { createHmac } from "node:crypto";

/** A `[[signatures.key]]` of the settings. For servers alone: whoever has the secret can ask for every picture. */
export interface SigningKey {
  id: string;
  secret: string;
}

/**
 * Signs a URL of safelight, with or without a host, spelled as clients will ask for it: a transformation URL in its options, `/_next/image` and URLs that
 * a flow takes in their query. `expires` is the time from which on it is refused; let it be the same for all visitors, or no cache can keep the picture.
 */
export function sign(url: string, key: SigningKey, expires?: Date, prefix = "/cdn-cgi/image/"): string {
  const [, origin = "", target] = /^(https?:\/\/[^/]*)?(\/.*)$/.exec(url) ?? [];
  if (target === undefined) throw new TypeError(`a URL must be absolute or begin with a slash, got ${JSON.stringify(url)}`);
  const until = expires === undefined ? "" : `${Math.floor(expires.getTime() / 1000)}.`;
  let [before, after] = [`${target}${target.includes("?") ? "&" : "?"}`, ""];
  if (target.startsWith(prefix)) {
    const end = target.indexOf("/", prefix.length);
    if (end <= prefix.length) throw new TypeError(`a URL must have options and a source, got ${JSON.stringify(url)}`);
    [before, after] = [`${target.slice(0, end)},`, target.slice(end)];
  }
  before = `${before}sig=${key.id}.${until}`;
  const mac = createHmac("sha256", key.secret).update(before + after).digest("hex");
  return `${origin}${before}${mac}${after}`;
}
