// Fetches delivery URLs as builders of URLs make them, with flexible variants: node urls.mjs

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import { check, setting } from "./report.mjs";

const root = new URL(setting("CLOUDFLARE_BASE_URL"));
const hash = setting("HASH");
const require = createRequire(`${setting("CLIENTS")}/`);
const unpic = require("unpic");
const headers = { authorization: `Bearer ${setting("CLOUDFLARE_API_TOKEN")}` };
const images = `${root}/accounts/${setting("ACCOUNT")}/images/v1`;

async function upload(id) {
  const form = new FormData();
  form.set("file", new File([fs.readFileSync(setting("PICTURE"))], "cat.jpg"));
  if (id) form.set("id", id);
  const answer = await fetch(images, { method: "POST", headers, body: form });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).result;
}

// The width, height and type of the picture behind a URL. It is asked of this server, whatever host and scheme the URL has.
async function delivered(url, accept) {
  const { pathname, search } = new URL(url, root);
  const answer = await fetch(new URL(pathname + search, root), { headers: { accept } });
  const body = Buffer.from(await answer.arrayBuffer());
  assert.equal(answer.status, 200, `${url}: ${body.subarray(0, 200)}`);
  const type = answer.headers.get("content-type");
  assert.ok(["image/jpeg", "image/webp"].includes(type), `${url}: ${type}`);
  return [...(type === "image/webp" ? sizeOfWebp(body) : sizeOfJpeg(body)), type];
}

function sizeOfJpeg(bytes) {
  for (let at = 2; ; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
  }
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

await check("flexible variants", async () => {
  const body = JSON.stringify({ flexible_variants: true });
  const answer = await fetch(`${images}/config`, { method: "PATCH", headers: { ...headers, "content-type": "application/json" }, body });
  assert.equal(answer.status, 200, await answer.text());
});

const image = await upload();
const published = image.variants.find((url) => url.endsWith("/public"));

await check("unpic makes URLs of a published one", async () => {
  // What it knows by the path alone, on any host.
  const secure = published.replace(/^http:/, "https:");
  assert.equal(unpic.getProviderForUrl(secure), "cloudflare_images");
  const url = unpic.transformUrl({ url: secure, width: 16, height: 16, format: "webp", provider: "cloudflare_images" });
  // It takes the name of the variant for an option.
  assert.match(url, /\/public=undefined,w=16,h=16,f=webp,fit=cover$/);
  assert.deepEqual(await delivered(url, "*/*"), [16, 16, "image/webp"]);
});

await check("unpic makes URLs of the ID", async () => {
  const transform = await unpic.getTransformerForCdn?.("cloudflare_images");
  assert.ok(transform);
  for (const host of [root.host, "imagedelivery.net"]) {
    const src = `https://${host}/cdn-cgi/imagedelivery/${hash}/${image.id}`;
    const url = transform(src, { width: 32, format: "jpg" }, { host: root.host });
    assert.match(url, /\/cdn-cgi\/imagedelivery\//);
    const [width, , type] = await delivered(url, "image/webp,*/*");
    assert.deepEqual([width, type], [32, "image/jpeg"]);
  }
});

// As @nuxt/image 2.1.0 writes them with its provider `cloudflareimages`.
const NUXT = {
  "w=32": [32, 24],
  "w=16,h=16,fit=cover": [16, 16],
  "w=16,h=16,fit=pad": [16, 16],
  "w=16,h=16,fit=crop": [16, 16],
  "w=32,h=32,fit=scale-down,q=70": [32, 24],
  "w=16,dpr=2,f=webp": [32, 24, "image/webp"],
  "w=32,h=16,fit=cover,g=auto,q=50,f=jpeg": [32, 16, "image/jpeg"],
  "q=80,f=auto": [64, 48, "image/jpeg"],
  public: [64, 48, "image/jpeg"],
};
for (const [segment, [width, height, type = "image/jpeg"]] of Object.entries(NUXT)) {
  await check(`Nuxt: ${segment}`, async () => {
    const url = published.replace(/public$/, segment);
    assert.deepEqual(await delivered(url, "*/*"), [width, height, type]);
  });
}

await check("the format is that of Accept", async () => {
  assert.equal((await delivered(published, "image/webp,*/*"))[2], "image/webp");
  assert.equal((await delivered(published.replace(/public$/, "w=32"), "image/webp,*/*"))[2], "image/webp");
});

await check("IDs with slashes and other characters", async () => {
  for (const id of ["a/b/c.jpg", "é ü/50%", "x#y?z"]) {
    const { variants } = await upload(id);
    const path = id.split("/").map(encodeURIComponent).join("/");
    assert.ok(variants.at(-1).endsWith(`/cdn-cgi/imagedelivery/${hash}/${path}/public`), variants.at(-1));
    // With its slashes, and without them, as one segment.
    for (const spelled of [path, encodeURIComponent(id)]) {
      const url = `/cdn-cgi/imagedelivery/${hash}/${spelled}/w=16,fit=cover,f=webp`;
      assert.deepEqual(await delivered(url, "*/*"), [16, 12, "image/webp"]);
    }
  }
});
