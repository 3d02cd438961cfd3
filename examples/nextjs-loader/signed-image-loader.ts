import { createHmac } from "node:crypto";
import imageLoader from "./image-loader";

// For the server alone: the secret has no NEXT_PUBLIC_ in its name, and the bundler refuses node:crypto in the browser.
const id = process.env.SAFELIGHT_KEY_ID ?? "";
const secret = process.env.SAFELIGHT_KEY_SECRET ?? "";

/** The loader for `getImageProps` in server components, where safelight takes only signed URLs. */
export default function signedImageLoader(request: Parameters<typeof imageLoader>[0]): string {
  return sign(imageLoader(request));
}

/** A URL of `image-loader.ts` with a signature; `expires` in seconds since 1970. Others, such as data URLs, stay as they are. */
export function sign(url: string, expires?: number): string {
  const [, origin, target] = /^(https?:\/\/[^/]*)?(\/.*)$/.exec(url) ?? [];
  const parts = /^(\/cdn-cgi\/image\/[^/?]+)(\/.+)$/.exec(target ?? "");
  const isNextImage = /^\/_next\/image\/?\?/.test(target ?? "");
  if (!secret || target === undefined || !(parts || isNextImage)) return url;
  const start = parts ? `${parts[1]},` : `${target}&`;
  const before = `${start}sig=${id}.${expires ? `${expires}.` : ""}`;
  const after = parts?.[2] ?? "";
  const mac = createHmac("sha256", secret).update(before + after).digest("hex");
  return `${origin ?? ""}${before}${mac}${after}`;
}
