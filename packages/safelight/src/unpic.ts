import { imageUrl } from "./index.js";
import type { Options, Site } from "./index.js";

/** What unpic asks a transformer for. Other operations are options. */
export interface Operations extends Omit<Options, "format" | "width" | "height" | "quality"> {
  width?: number | string | undefined;
  height?: number | string | undefined;
  quality?: number | string | undefined;
  format?: string | undefined;
}

/** A transformer, for the `transformer` of unpic's components: `<Image transformer={transform} options={{ base: "https://img.example.com" }} />`. */
export function transform(source: string | URL, operations: Operations = {}, site: Site = {}): string {
  const { width, height, quality, format, ...rest } = operations;
  const options: Options = {
    ...rest,
    format: (format === "jpg" ? "jpeg" : (format ?? "auto")) as Options["format"],
    width: whole(width),
    height: whole(height),
    quality: whole(quality),
  };
  // What fills a box of both sides cuts what is too much, as unpic's other transformers do.
  if (options.width !== undefined && options.height !== undefined) options.fit ??= "cover";
  return imageUrl(String(source), options, site);
}

function whole(value: number | string | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(Number(value));
}
