import { imageUrl } from "./index.js";
import type { Options, Site } from "./index.js";

/** What `@nuxt/image` asks a provider for. */
export interface ProviderRequest extends Site {
  modifiers?: Record<string, unknown> | undefined;
  baseURL?: string | undefined;
}

/** The provider's `getImage`. Modifiers are options; `baseURL` of the provider is where safelight is. */
export function getImage(source: string, { modifiers = {}, baseURL, ...site }: ProviderRequest = {}): { url: string } {
  // Words of the interface of Nuxt that mean the same under another name.
  const { f, q, w, h, ...named } = modifiers as Record<string, never>;
  const options: Options = { format: "auto", ...defined({ format: f, quality: q, width: w, height: h }), ...defined(named) };
  const base = site.base ?? baseURL;
  return { url: imageUrl(source, options, base === undefined ? site : { ...site, base }) };
}

/** A provider, for `image.providers` of `nuxt.config.ts`: `export { default } from "safelight/nuxt"`. */
export default () => ({ getImage });

function defined(values: Record<string, unknown>): Options {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Options;
}
