// The library against a server: SAFELIGHT is its address, DIST the folder of the compiled library. Its zone has cat.jpg of 64x48 pixels and "a b/ü?.png" of
// 32x24, and it refuses options without effect. SIGNED is the address of one that needs signatures, with the key `web`.

import assert from "node:assert/strict";
import { test } from "node:test";

const base = process.env.SAFELIGHT;
const load = (name) => import(`${process.env.DIST}/${name}.js`);
const { imageUrl, optionsText, srcset, OPTION_NAMES, WIDTHS } = await load("index");
const { sign } = await load("sign");
const { createLoader } = await load("next");
const nuxt = await load("nuxt");
const { default: astro } = await load("astro");
const unpic = await load("unpic");

const SECRET = "0123456789abcdef0123456789abcdef";
const site = { base };

/** Fetches a URL, and returns the type, the width and the height of the picture. */
async function picture(url, accept = "image/webp") {
  const answer = await fetch(url, { headers: { accept } });
  const bytes = Buffer.from(await answer.arrayBuffer());
  assert.equal(answer.status, 200, `${url}: ${bytes.subarray(0, 200)}`);
  assert.equal(answer.headers.get("warning"), null, url);
  const type = answer.headers.get("content-type");
  if (type === "image/webp") return [type, ...sizeOfWebp(bytes)];
  if (type === "image/png") return [type, bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  return [type];
}

function sizeOfWebp(bytes) {
  switch (bytes.toString("latin1", 12, 16)) {
    case "VP8 ":
      return [bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff];
    case "VP8L": {
      const bits = bytes.readUInt32LE(21);
      return [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1];
    }
    default:
      return [bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1];
  }
}

test("options are written in one order, and escaped", () => {
  assert.equal(optionsText({ width: 64, fit: "cover", height: 48, quality: undefined }), "fit=cover,height=48,width=64");
  assert.equal(optionsText({ background: "rgb(1, 2, 3)", "border.width": 2, anim: false }), "anim=false,background=rgb(1%2C%202%2C%203),border.width=2");
  assert.equal(optionsText({ width: 64, preset: "thumb", format: "webp" }), "preset=thumb,format=webp,width=64");
  assert.equal(imageUrl("/cat.jpg"), "/cdn-cgi/image/format=auto/cat.jpg");
  assert.equal(imageUrl("data:image/gif;base64,R0lGOD", { width: 8 }), "data:image/gif;base64,R0lGOD");
  assert.equal(imageUrl("cat.jpg", { width: 8 }, { base: "https://a.test/", prefix: "/img/" }), "https://a.test/img/width=8/cat.jpg");
});

test("sources are spelled as safelight reads them", async () => {
  assert.match(imageUrl("https://b.test/a b.jpg?v=1#x", { width: 8 }), /\/https%3A%2F%2Fb\.test%2Fa%2520b\.jpg%3Fv%3D1%23x$/);
  assert.match(imageUrl("https://b.test/é.jpg", { width: 8 }), /\/width=8\/https:\/\/b\.test\/%C3%A9\.jpg$/);
  assert.deepEqual(await picture(imageUrl("/a b/ü%3F.png", { width: 16, format: "webp" }, site)), ["image/webp", 16, 12]);
  assert.deepEqual(await picture(imageUrl("cat.jpg", { width: 16, format: "auto" }, site)), ["image/webp", 16, 12]);
});

test("the server takes every option as its type has it", async () => {
  const both = { width: 32, height: 32 };
  const samples = [
    { anim: false }, { "auto-quality": 70, width: 16 }, { background: "rgb(240, 40, 145)", fit: "pad", ...both }, { blur: 2.5 },
    { "border.width": 2, "border.color": "#ff0000" }, { "border.top": 1, "border.right": 2, "border.bottom": 3, "border.left": 4 },
    { brightness: 1.5 }, { compression: "fast" }, { contrast: 0.5 }, { dpr: 2, width: 16 }, { fit: "aspect-crop", ...both },
    { flip: "hv" }, { format: "webp" }, { gamma: 1.2 }, { gravity: "0.5x0.2", fit: "cover", ...both }, { gravity: "entropy", fit: "cover", ...both },
    { height: 16 }, { "max-bytes": 5000 }, { metadata: "none" }, { onerror: "redirect" }, { quality: 70 }, { quality: "medium-low" }, { rotate: 90 },
    { saturation: 0.5 }, { sharpen: 1 }, { "slow-connection-quality": 30 }, { trim: "1;2;3;4" },
    { "trim.border.color": "red", "trim.border.keep": 1, "trim.border.tolerance": 9, trim: "border" },
    { "trim.top": 1, "trim.left": 0.1, "trim.width": 32, "trim.height": 0.5 }, { "trim.right": 1, "trim.bottom": 2 }, { upscale: "interpolate" },
    { width: "auto", wbreakpoints: "16;32", wdesktop: 32, wmobile: 16 },
  ];
  const seen = new Set(["segment", "zoom"]); // These are read, and warn that they have no effect yet.
  for (const options of samples) {
    await picture(imageUrl("cat.jpg", options, site));
    for (const name of Object.keys(options)) seen.add(name);
  }
  assert.deepEqual(OPTION_NAMES.filter((name) => !seen.has(name)), []);
});

test("a srcset has the widths that are asked for", async () => {
  const usual = srcset("cat.jpg", { width: 500, height: 250, format: "auto" }, site, { sizes: "50vw" });
  assert.equal(usual.src, imageUrl("cat.jpg", { width: 500, height: 250, format: "auto" }, site));
  assert.deepEqual(usual.srcset.split(", ").map((entry) => entry.split(" ")[1]), ["320w", "480w", "500w"]);
  assert.match(usual.srcset, /height=160,width=320\//);
  assert.equal(usual.sizes, "50vw");
  assert.equal(srcset("cat.jpg", {}, site).srcset.split(", ").length, WIDTHS.length);
  const { srcset: few } = srcset("cat.jpg", { format: "webp" }, site, { widths: [32, 16, 32] });
  const found = [];
  for (const entry of few.split(", ")) found.push((await picture(entry.split(" ")[0]))[1]);
  assert.deepEqual(found, [16, 32]);
});

test("signed URLs are taken, and changed ones are not", async () => {
  const key = { id: "web", secret: SECRET };
  const status = async (url) => (await fetch(url)).status;
  const url = imageUrl("cat.jpg", { width: 1200, format: "auto" }, { base: process.env.SIGNED });
  assert.equal(await status(url), 403);
  assert.equal(await status(sign(url, key)), 200);
  assert.equal(await status(sign(url, key, new Date(Date.now() + 60_000))), 200);
  assert.equal(await status(sign(url, key, new Date(0))), 403);
  assert.equal(await status(sign(url, key).replace("width=1200", "width=1201")), 403);
  assert.equal(await status(sign(`${process.env.SIGNED}/_next/image?url=%2Fcat.jpg&w=1200&q=75`, key)), 200);
  assert.equal(await status(sign(url, { id: "web", secret: "another secret of ours" })), 403);
  assert.throws(() => sign("cat.jpg", key), TypeError);
  assert.throws(() => sign("/cdn-cgi/image/cat.jpg", key), TypeError);
});

test("the loaders make URLs that are answered", async () => {
  const next = createLoader(site);
  assert.deepEqual(await picture(next({ src: "/cat.jpg", width: 16, quality: 60 })), ["image/webp", 16, 12]);
  assert.match(next({ src: "/cat.jpg", width: 16 }), /quality=75/);
  assert.equal(next({ src: "/logo.svg?v=1", width: 16 }), "/logo.svg?v=1");
  assert.match(createLoader(site, { quality: 50, sharpen: 1 })({ src: "/cat.jpg", width: 16 }), /format=auto,quality=50,sharpen=1,width=16/);

  const { url } = nuxt.getImage("/cat.jpg", { modifiers: { width: 32, height: 32, fit: "cover", q: 70, f: undefined }, baseURL: base });
  assert.deepEqual(await picture(url), ["image/webp", 32, 32]);
  assert.deepEqual(nuxt.default().getImage("cat.jpg", { base }), { url: `${base}/cdn-cgi/image/format=auto/cat.jpg` });

  const config = { service: { config: site } };
  const asked = { src: { src: "/cat.jpg", width: 64, height: 48 }, width: 16, height: 12, fit: "cover", position: "top", quality: "mid", alt: "a cat" };
  assert.deepEqual(await picture(astro.getURL(asked, config)), ["image/webp", 16, 12]);
  assert.deepEqual(astro.getHTMLAttributes(asked), { loading: "lazy", decoding: "async", alt: "a cat", width: 16, height: 12 });
  const sizes = astro.getSrcSet({ ...asked, widths: [16, 32] });
  assert.deepEqual(sizes.map(({ descriptor, transform }) => [descriptor, transform.width, transform.height]), [["16w", 16, 12], ["32w", 32, 24]]);
  assert.deepEqual(astro.getSrcSet({ ...asked, densities: [1, "2x"] }).map(({ descriptor, transform }) => [descriptor, transform.width]), [["1x", 16], ["2x", 32]]);
  assert.match(astro.getURL({ src: "/cat.jpg", format: "png" }, config), /format=png-force/);

  const transformed = unpic.transform("/cat.jpg", { width: "32", height: 32, format: "jpg", quality: 70 }, site);
  assert.match(transformed, /fit=cover,format=jpeg,height=32,quality=70,width=32\/cat\.jpg$/);
  assert.deepEqual(await picture(transformed), ["image/jpeg"]);
});
