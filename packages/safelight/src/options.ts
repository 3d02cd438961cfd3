// Made from src/options/definitions.rs.

/** The options of a URL, by their long names. */
export interface Options {
  /** `false` makes a still picture of an animation. Takes true or false. Without it: `true`. */
  anim?: boolean | undefined;
  /** The quality is the lowest that reaches this SSIMULACRA2 score, compared with the picture before encoding. Takes a whole number from 30 to 95. */
  "auto-quality"?: number | undefined;
  /** The colour behind transparent pixels and around the picture with `fit=pad`. Takes a CSS colour. Without it: none; white around `pad`. */
  background?: string | undefined;
  /** Standard deviation of a blur in output pixels, whatever `dpr` is. Below 1 nothing changes. Takes a number from 0 to 250. Without it: 0. */
  blur?: number | undefined;
  /** Width of the border at the bottom. Takes a whole number of pixels, at least 0. Without it: `border.width`. */
  "border.bottom"?: number | undefined;
  /** Colour of the border. Takes a CSS colour. Without it: black. */
  "border.color"?: string | undefined;
  /** Width of the border on the left. Takes a whole number of pixels, at least 0. Without it: `border.width`. */
  "border.left"?: number | undefined;
  /** Width of the border on the right. Takes a whole number of pixels, at least 0. Without it: `border.width`. */
  "border.right"?: number | undefined;
  /** Width of the border at the top. Takes a whole number of pixels, at least 0. Without it: `border.width`. */
  "border.top"?: number | undefined;
  /** Width of a border around the result. Takes a whole number of pixels, at least 0. Without it: 0. */
  "border.width"?: number | undefined;
  /** Factor for the brightness. 1 and 0 change nothing. Takes a number from 0 to 255. Without it: 1. */
  brightness?: number | undefined;
  /** `fast` uses the quickest codec, whatever `format` says. Takes fast. */
  compression?: "fast" | undefined;
  /** Factor for the contrast. 1 and 0 change nothing. Takes a number from 0 to 255. Without it: 1. */
  contrast?: number | undefined;
  /** Multiplies the pixels of `width`, `height`, `trim` and `border`. More than 3 counts as 3. Takes a number from 0.01 to 3. Without it: 1. */
  dpr?: number | undefined;
  /** How the box of `width` and `height` is filled. Takes scale-down, contain, cover, crop, aspect-crop, pad, squeeze or scale-up. Without it: `scale-down`. */
  fit?: "scale-down" | "contain" | "cover" | "crop" | "aspect-crop" | "pad" | "squeeze" | "scale-up" | undefined;
  /** Mirrors the picture before it is rotated: `h` swaps left and right, `v` top and bottom. Takes h, v or hv. */
  flip?: "h" | "v" | "hv" | undefined;
  /** The format of the result. `auto` follows the `Accept` header. `png` is a hint and changes nothing. Takes auto, avif, jxl, webp, jpeg, baseline-jpeg, png, png-force, json or svg. Without it: JPEG, or PNG with transparency. */
  format?: "auto" | "avif" | "jxl" | "webp" | "jpeg" | "baseline-jpeg" | "png" | "png-force" | "json" | "svg" | undefined;
  /** Exponent of the tone curve; below 1 is lighter. 1 and 0 change nothing. Takes a number from 0 to 255. Without it: 1. */
  gamma?: number | undefined;
  /** The part that a crop keeps. `auto` is the part that attracts the eye, `entropy` the one with most detail. `face` is read, but keeps the centre. Takes auto, face, entropy, center, left, right, top, bottom or a point as in 0.5x0.5. Without it: `center`. */
  gravity?: "auto" | "face" | "entropy" | "center" | "left" | "right" | "top" | "bottom" | (string & {}) | undefined;
  /** Height of the box. Takes a number of pixels, at least 1. Without it: from the source. */
  height?: number | undefined;
  /** The quality is the highest, up to `quality`, whose file has no more bytes. Takes a number of bytes, at least 1. */
  "max-bytes"?: number | undefined;
  /** Which metadata of the source is kept. Takes copyright, keep or none. Without it: `copyright`. */
  metadata?: "copyright" | "keep" | "none" | undefined;
  /** Where no picture can be made, the client is sent to the source. Takes redirect. */
  onerror?: "redirect" | undefined;
  /** Quality of JPEG, WebP, AVIF and JPEG XL. 100 with WebP and JPEG XL is lossless. Where it is given, PNG may have a palette. Takes a number from 1 to 100, high, medium-high, medium-low or low. Without it: 85. */
  quality?: number | "high" | "medium-high" | "medium-low" | "low" | undefined;
  /** Clockwise rotation in degrees, after `flip` and before the box is filled. Takes 0, 90, 180 or 270. Without it: 0. */
  rotate?: 0 | 90 | 180 | 270 | undefined;
  /** Factor for the saturation. 1 changes nothing, 0 is grey. Takes a number from 0 to 255. Without it: 1. */
  saturation?: number | undefined;
  /** Read, but without effect yet. Takes foreground. */
  segment?: "foreground" | undefined;
  /** Strength of sharpening. 0 changes nothing, 1 suits a reduced picture. Takes a number from 0 to 10. Without it: 0. */
  sharpen?: number | undefined;
  /** Takes the place of `quality` for clients on a slow connection. Takes a number from 1 to 100, high, medium-high, medium-low or low. Without it: `quality`. */
  "slow-connection-quality"?: number | "high" | "medium-high" | "medium-low" | "low" | undefined;
  /** What is cut away before everything else: a border of one colour, or so much of top, right, bottom and left. Takes border, or four numbers as in 20;30;20;0. */
  trim?: "border" | (string & {}) | undefined;
  /** Colour of the border that is cut. Takes a CSS colour. Without it: from the picture. */
  "trim.border.color"?: string | undefined;
  /** How many pixels of the border stay. Takes a whole number of pixels, at least 0. Without it: 0. */
  "trim.border.keep"?: number | undefined;
  /** The largest difference from the colour that still is border. Takes a whole number from 0 to 255. Without it: 5. */
  "trim.border.tolerance"?: number | undefined;
  /** What is cut from the bottom. Takes a number of pixels, or a number below 1 for a part of the side. Without it: `trim`. */
  "trim.bottom"?: number | undefined;
  /** The height that is kept, counted from the end of `trim.top`. Takes a number of pixels, or a number below 1 for a part of the side. Without it: all. */
  "trim.height"?: number | undefined;
  /** What is cut from the left. Takes a number of pixels, or a number below 1 for a part of the side. Without it: `trim`. */
  "trim.left"?: number | undefined;
  /** What is cut from the right. Takes a number of pixels, or a number below 1 for a part of the side. Without it: `trim`. */
  "trim.right"?: number | undefined;
  /** What is cut from the top. Takes a number of pixels, or a number below 1 for a part of the side. Without it: `trim`. */
  "trim.top"?: number | undefined;
  /** The width that is kept, counted from the end of `trim.left`. Takes a number of pixels, or a number below 1 for a part of the side. Without it: all. */
  "trim.width"?: number | undefined;
  /** Where the pixels of an enlarged picture come from. `generate` is read, but interpolates. Takes interpolate or generate. Without it: `interpolate`. */
  upscale?: "interpolate" | "generate" | undefined;
  /** The widths that `width=auto` chooses from. Takes widths in pixels as in 320;768;1200. Without it: 320;768;960;1200. */
  wbreakpoints?: string | undefined;
  /** What `width=auto` is on a desktop without client hints. Takes a number of pixels, at least 1. Without it: 1200. */
  wdesktop?: number | undefined;
  /** Width of the box. `auto` is the smallest breakpoint that is as wide as the viewport. Takes a number of pixels, at least 1, or auto. Without it: from the source. */
  width?: number | "auto" | undefined;
  /** What `width=auto` is on a phone without client hints. Takes a number of pixels, at least 1. Without it: 768. */
  wmobile?: number | undefined;
  /** Read, but without effect yet. Takes a number from 0 to 1. Without it: 0. */
  zoom?: number | undefined;
}

/** The long name of every option. */
export const OPTION_NAMES: readonly (keyof Options)[] = [
  "anim",
  "auto-quality",
  "background",
  "blur",
  "border.bottom",
  "border.color",
  "border.left",
  "border.right",
  "border.top",
  "border.width",
  "brightness",
  "compression",
  "contrast",
  "dpr",
  "fit",
  "flip",
  "format",
  "gamma",
  "gravity",
  "height",
  "max-bytes",
  "metadata",
  "onerror",
  "quality",
  "rotate",
  "saturation",
  "segment",
  "sharpen",
  "slow-connection-quality",
  "trim",
  "trim.border.color",
  "trim.border.keep",
  "trim.border.tolerance",
  "trim.bottom",
  "trim.height",
  "trim.left",
  "trim.right",
  "trim.top",
  "trim.width",
  "upscale",
  "wbreakpoints",
  "wdesktop",
  "width",
  "wmobile",
  "zoom",
];
