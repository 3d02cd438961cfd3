import { imageUrl } from "./index.js";
import type { Options, Site } from "./index.js";

/** What `next/image` asks a loader for. */
export interface LoaderRequest {
  src: string;
  width: number;
  quality?: number | undefined;
}

/** A loader for `next/image`: the default export of the file that `images.loaderFile` names. Drawings and data URLs stay as they are. */
export function createLoader(site: Site = {}, options: Options = {}): (request: LoaderRequest) => string {
  return ({ src, width, quality }) => {
    if (/\.svg($|[?#])/i.test(src)) return src;
    return imageUrl(src, { format: "auto", ...options, width, quality: quality ?? options.quality ?? 75 }, site);
  };
}
