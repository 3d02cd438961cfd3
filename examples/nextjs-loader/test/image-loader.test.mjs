import assert from "node:assert/strict";
import { test } from "node:test";

let loads = 0;

/** The compiled loader as it is with this environment. */
async function loader(url, sources) {
  process.env.NEXT_PUBLIC_SAFELIGHT_URL = url;
  process.env.NEXT_PUBLIC_SAFELIGHT_SOURCES = sources;
  const module = await import(`../.test/image-loader.js?load=${loads++}`);
  return module.default;
}

const SAFELIGHT = "https://img.example.com";
const BUCKET = "https://my-bucket.s3.eu-west-1.amazonaws.com";
const OTHERS = "https://s3.example.com/path-style, http://127.0.0.1:9000/";
const ours = await loader(`${SAFELIGHT}/`, `${BUCKET} ${OTHERS}`);
const at = (options, source) => `${SAFELIGHT}/cdn-cgi/image/${options},format=auto/${source}`;

test("a bucket picture goes to safelight", () => {
  assert.equal(ours({ src: `${BUCKET}/cat.jpg`, width: 800 }), at("width=800,quality=75", `${BUCKET}/cat.jpg`));
  assert.equal(ours({ src: `${BUCKET}/cat.jpg`, width: 64, quality: 40 }), at("width=64,quality=40", `${BUCKET}/cat.jpg`));
  assert.equal(
    ours({ src: "http://127.0.0.1:9000/photos/a.png", width: 640 }),
    at("width=640,quality=75", "http://127.0.0.1:9000/photos/a.png"),
  );
});

test("a source with a query or a fragment is encoded whole", () => {
  for (const src of [`${BUCKET}/cat.jpg?v=1&X-Amz-Signature=a%2Fb`, `${BUCKET}/cat.jpg#top`]) {
    assert.equal(ours({ src, width: 800 }), at("width=800,quality=75", encodeURIComponent(src)));
  }
});

test("a source arrives as a browser would send it: escapes kept, spaces and letters escaped", () => {
  assert.equal(ours({ src: `${BUCKET}/a%20b,c.jpg`, width: 8 }), at("width=8,quality=75", `${BUCKET}/a%20b,c.jpg`));
  assert.equal(ours({ src: `${BUCKET}/a é.jpg`, width: 8 }), at("width=8,quality=75", `${BUCKET}/a%20%C3%A9.jpg`));
});

test("a bucket named with a path ends at a slash", () => {
  const inside = "https://s3.example.com/path-style/a.jpg";
  const beside = "https://s3.example.com/path-style-2/a.jpg";
  const above = "https://s3.example.com/path-style/../secret/a.jpg";
  assert.equal(ours({ src: inside, width: 8 }), at("width=8,quality=75", inside));
  for (const src of [beside, above]) {
    assert.equal(ours({ src, width: 8 }), `/_next/image?url=${encodeURIComponent(src)}&w=8&q=75`);
  }
});

test("local pictures and other hosts take the fallback", () => {
  assert.equal(ours({ src: "/me.png?v=2", width: 640 }), "/_next/image?url=%2Fme.png%3Fv%3D2&w=640&q=75");
  const others = [
    "https://elsewhere.example/a.jpg",
    `${BUCKET}.evil.example/a.jpg`,
    "https://my-bucket.s3.eu-west-1.amazonaws.com:444/a.jpg",
    "https://my-bucket.s3.eu-west-1.amazonaws.com@evil.example/a.jpg",
    "http://my-bucket.s3.eu-west-1.amazonaws.com/a.jpg",
    "https://",
  ];
  for (const src of others) {
    assert.equal(ours({ src, width: 8, quality: 90 }), `/_next/image?url=${encodeURIComponent(src)}&w=8&q=90`);
  }
});

test("data, blob and SVG pass unchanged", () => {
  for (const src of ["data:image/gif;base64,R0lGOD", "blob:https://a.example/1", "/logo.svg", `${BUCKET}/Logo.SVG?v=1`]) {
    assert.equal(ours({ src, width: 8 }), src);
  }
});

test("without safelight, or without sources, everything takes the fallback", async () => {
  const src = `${BUCKET}/cat.jpg`;
  const fallback = `/_next/image?url=${encodeURIComponent(src)}&w=8&q=75`;
  assert.equal((await loader("", BUCKET))({ src, width: 8 }), fallback);
  assert.equal((await loader(SAFELIGHT, ""))({ src, width: 8 }), fallback);
});

test("URLs are signed as safelight reads them", async () => {
  process.env.SAFELIGHT_KEY_ID = "web";
  process.env.SAFELIGHT_KEY_SECRET = "0123456789abcdef0123456789abcdef";
  const { sign } = await import("../.test/signed-image-loader.js");
  const path = "/cdn-cgi/image/width=80,format=auto";
  const mac = "cee2e0db2a03a0431bd16dc01028300e705b028ae1c9adb13fe5e9093d8ac45b";
  assert.equal(sign(`${path}/cat.jpg`), `${path},sig=web.${mac}/cat.jpg`);
  assert.equal(sign(`${SAFELIGHT}${path}/cat.jpg`), `${SAFELIGHT}${path},sig=web.${mac}/cat.jpg`);
  const next = "/_next/image?url=%2Fcat.jpg&w=640&q=75";
  const until = "b7a9335ffe1755a6b4dcd6f530b5032809c3de68ded5464afb477319391a2133";
  assert.equal(sign(next, 4102444800), `${next}&sig=web.4102444800.${until}`);
  assert.equal(sign("data:image/png;base64,AAAA"), "data:image/png;base64,AAAA");
});
