import { imageUrl } from "./index.js";
import type { Options, Site } from "./index.js";

/** What Astro's `<Image>` and `getImage` ask a service for. */
export interface TransformRequest {
  src: string | { src: string; width?: number; height?: number };
  width?: number | undefined;
  height?: number | undefined;
  format?: string | undefined;
  quality?: string | number | undefined;
  fit?: string | undefined;
  position?: string | undefined;
  [attribute: string]: unknown;
}

/** The settings of Astro, of which `image.service.config` is ours. */
export interface ServiceConfig {
  service?: { config?: Site & { options?: Options } };
}

// What Astro calls the ways to fill a box, and sides of a picture.
const FITS: Record<string, Options["fit"]> = { fill: "squeeze", contain: "contain", cover: "cover", none: "crop", "scale-down": "scale-down" };
const FORMATS: Record<string, Options["format"]> = { avif: "avif", webp: "webp", jpg: "jpeg", jpeg: "jpeg", png: "png-force", svg: "svg" };
// Words of Astro for qualities, as numbers.
const QUALITIES: Record<string, number> = { low: 35, mid: 50, high: 80, max: 90 };
const OWN = ["src", "width", "height", "format", "quality", "fit", "position", "widths", "densities", "layout", "priority", "inferSize", "background"];

/** An image service, for `image.service` of `astro.config.mjs`: `{ entrypoint: "safelight/astro", config: { base: "https://img.example.com" } }`. */
const service = {
  getURL({ src, width, height, format, quality, fit, position }: TransformRequest, config: ServiceConfig = {}): string {
    const { options = {}, ...site } = config.service?.config ?? {};
    const asked: Options = {
      ...options,
      // Astro names a format for pictures of its own; what it takes by default is left to the browser.
      format: format === undefined || format === "webp" ? (options.format ?? "auto") : (FORMATS[format] ?? "auto"),
      width,
      height,
      quality: typeof quality === "string" ? (QUALITIES[quality] ?? Number(quality)) : (quality ?? options.quality),
      fit: fit === undefined ? options.fit : FITS[fit],
      gravity: position !== undefined && /^(center|left|right|top|bottom)$/.test(position) ? position : options.gravity,
    };
    return imageUrl(typeof src === "string" ? src : src.src, asked, site);
  },

  /** What is written into the page: the attributes that are none of ours. */
  getHTMLAttributes(request: TransformRequest): Record<string, unknown> {
    const attributes = Object.fromEntries(Object.entries(request).filter(([name]) => !OWN.includes(name)));
    const source: { width?: number; height?: number } = typeof request.src === "string" ? {} : request.src;
    return { loading: "lazy", decoding: "async", ...attributes, width: request.width ?? source.width, height: request.height ?? source.height };
  },

  /** The other sizes of a picture, for `widths` and `densities`. */
  getSrcSet(request: TransformRequest): { transform: TransformRequest; descriptor: string; attributes: Record<string, unknown> }[] {
    const { widths, densities, ...rest } = request as TransformRequest & { widths?: number[]; densities?: (number | `${number}x`)[] };
    const ratio = rest.width && rest.height ? rest.height / rest.width : undefined;
    const sized = (width: number, descriptor: string) => {
      const height = ratio === undefined ? rest.height : Math.round(width * ratio);
      return { transform: { ...rest, width, height }, descriptor, attributes: {} };
    };
    if (widths) return widths.map((width) => sized(width, `${width}w`));
    const { width } = rest;
    if (densities && width) return densities.map((density) => sized(Math.round(width * parseFloat(`${density}`)), `${parseFloat(`${density}`)}x`));
    return [];
  },
};

export default service;
