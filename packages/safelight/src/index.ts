import type { Options as UrlOptions } from "./options.js";

export { OPTION_NAMES } from "./options.js";

/** What is made of a picture. */
export interface Options extends UrlOptions {
  /** The name of options in the section `[presets]` of the settings; the other options here replace those that it stands for. */
  preset?: string | undefined;
}

/** Where safelight is. */
export interface Site {
  /** Scheme and host, as in `https://img.example.com`. Without it, URLs begin with the prefix: safelight is behind the host of the page. */
  base?: string;
  /** What transformation URLs begin with: one of `server.prefixes`. Without it, `/cdn-cgi/image/`. */
  prefix?: string;
}

/** What an `<img>` takes. */
export interface ImageAttributes {
  src: string;
  srcset: string;
  sizes?: string;
}

/** Which widths a `srcset` has. */
export interface SrcsetOptions {
  /** The widths in pixels, in any order. Without them, `WIDTHS` up to the width in the options. */
  widths?: readonly number[];
  /** The attribute `sizes`. Without it there is none, and browsers take the picture for as wide as their window. */
  sizes?: string;
}

/** Widths that suit most pages. */
export const WIDTHS: readonly number[] = [320, 480, 640, 800, 960, 1200, 1600, 2000];

/**
 * Writes options as they stand in a URL, in alphabetical order behind the preset, so that equal options are equal URLs. What is `undefined` is left out.
 */
export function optionsText(options: Options): string {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined && value !== "")
    .sort(([one], [other]) => (other === "preset" ? 1 : one === "preset" || one < other ? -1 : 1))
    .map(([name, value]) => `${name}=${escaped(String(value))}`)
    .join(",");
}

/**
 * The URL of a picture. `source` is a path of the zone or an absolute URL; data and blob URLs are returned as they are. Without any options the
 * format alone is chosen, by what the browser shows.
 */
export function imageUrl(source: string, options: Options = {}, site: Site = {}): string {
  if (/^(data|blob):/i.test(source)) return source;
  const base = (site.base ?? "").replace(/\/+$/, "");
  const text = optionsText(options) || "format=auto";
  return `${base}${site.prefix ?? "/cdn-cgi/image/"}${text}/${sourceText(source)}`;
}

/**
 * What an `<img>` of several widths takes. A height in the options belongs to the width there, and follows the others in proportion.
 */
export function srcset(source: string, options: Options = {}, site: Site = {}, { widths, sizes }: SrcsetOptions = {}): ImageAttributes {
  if (/^(data|blob):/i.test(source)) return { src: source, srcset: "" };
  const { width, height, ...rest } = options;
  const largest = typeof width === "number" ? width : undefined;
  const usual = largest === undefined ? WIDTHS : [...WIDTHS.filter((one) => one < largest), largest];
  const all = [...new Set(widths ?? usual)].sort((one, other) => one - other);
  const urls = all.map((one) => {
    const box: Options = { ...rest, width: one };
    if (height !== undefined) box.height = largest === undefined ? height : Math.max(1, Math.round((height * one) / largest));
    return imageUrl(source, box, site);
  });
  return {
    src: urls.at(-1) ?? imageUrl(source, options, site),
    srcset: all.map((one, index) => `${urls[index]} ${one}w`).join(", "),
    ...(sizes === undefined ? {} : { sizes }),
  };
}

/** A source as it stands behind the options, spelled as browsers send it. A bare `?` or `#` of a URL would not be part of it there. */
function sourceText(source: string): string {
  if (/^https?:\/\//i.test(source)) {
    const href = URL.canParse(source) ? new URL(source).href : source;
    return /[?#]/.test(href) ? encodeURIComponent(href) : href;
  }
  const { pathname, search } = new URL(source.replace(/#/g, "%23").replace(/^\/*/, "/"), "http://zone.invalid");
  return `${pathname.slice(1)}${search}`;
}

/** A value without what would end it, or the options, in a URL. */
function escaped(value: string): string {
  return value.trim().replace(/[^A-Za-z0-9\-._~;:()+*!$@]/g, (character) => encodeURIComponent(character));
}
