import type { ExternalImageService, ImageTransform } from "astro";
import { baseService } from "astro/assets";

/** Where safelight listens; empty where the site and safelight have one host. */
const SAFELIGHT = import.meta.env.PUBLIC_SAFELIGHT_URL ?? "";

/** Names of options, as `<Image>` and as safelight have them. */
const FITS: Record<string, string> = { cover: "cover", contain: "contain", fill: "squeeze", "scale-down": "scale-down" };

/** Writes URLs of safelight for `<Image>`, `<Picture>` and `getImage()`. */
const service: ExternalImageService = {
  validateOptions: (options) => options,
  getURL(options) {
    const { width, height, quality = 75, fit, format } = options;
    const wanted = {
      width: width && Math.round(width),
      // Without `fit` the height only says how much room there must be.
      height: fit && height && Math.round(height),
      fit: fit && FITS[fit],
      quality,
      format: format === "jpg" ? "jpeg" : (format ?? "auto"),
    };
    const pairs = Object.entries(wanted).filter(([, value]) => value !== undefined);
    const path = encodeURI(source(options)).replace(/[?#]/g, encodeURIComponent);
    return `${SAFELIGHT}/cdn-cgi/image/${pairs.map((pair) => pair.join("=")).join(",")}/${path}`;
  },
  getSrcSet: baseService.getSrcSet,
  getHTMLAttributes: baseService.getHTMLAttributes,
};

/** An imported picture has its path in the built site; another one has the URL that it was given. */
function source({ src }: ImageTransform): string {
  const path = typeof src === "string" ? src : src.src;
  return path.replace(/^\/+/, "");
}

export default service;
