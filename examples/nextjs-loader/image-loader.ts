type Request = { src: string; width: number; quality?: number };

/** Where safelight listens, without a trailing slash; empty when there is none. */
export const safelight = trimSlash(process.env.NEXT_PUBLIC_SAFELIGHT_URL ?? "");

/** The buckets safelight reads: origins, or origins with a path (`https://s3.example.com/my-bucket`). */
export const sources = (process.env.NEXT_PUBLIC_SAFELIGHT_SOURCES ?? "").split(/[\s,]+/).filter(Boolean).map(trimSlash);

/** The loader that `next.config.ts` names: called by next/image for every width of a srcset. */
export default function imageLoader({ src, width, quality }: Request): string {
  if (/^(data|blob):/i.test(src) || /\.svg($|[?#])/i.test(src)) return src;
  const source = bucketUrl(src);
  if (safelight && source) {
    return `${safelight}/cdn-cgi/image/width=${width},quality=${quality || 75},format=auto/${source}`;
  }
  return `/_next/image?url=${encodeURIComponent(src)}&w=${width}&q=${quality || 75}`;
}

/** The source as it goes into a safelight URL; nothing when it is in none of our buckets. */
function bucketUrl(src: string): string | undefined {
  if (!/^https?:\/\//i.test(src) || !URL.canParse(src)) return undefined;
  const { href } = new URL(src);
  if (!sources.some((bucket) => isInside(href, bucket))) return undefined;
  return /[?#]/.test(href) ? encodeURIComponent(href) : href; // a bare ? or # would cut the URL there
}

function isInside(href: string, bucket: string): boolean {
  return URL.canParse(bucket) && href.startsWith(`${trimSlash(new URL(bucket).href)}/`);
}

function trimSlash(text: string): string {
  return text.replace(/\/+$/, "");
}
