// Drives every call for images of an SDK of Cloudflare: node sdk.mjs PACKAGE
//
// `CLOUDFLARE_BASE_URL` and `CLOUDFLARE_API_TOKEN` are read by the SDK itself; the other variables are those of `setting` below.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import { check, refused, setting } from "./report.mjs";

const account_id = setting("ACCOUNT");
const picture = setting("PICTURE"); // the path of a JPEG of 64 x 48
const origin = setting("ORIGIN"); // the URL of the same file
const require = createRequire(`${setting("CLIENTS")}/`);
const name = process.argv[2];
const Cloudflare = require(name);
const client = new Cloudflare();
const { v1, v2 } = client.images;
const bytes = fs.readFileSync(picture);
// Version 4 puts IDs into paths as they are, but for spaces and the like.
const encodes = name !== "cloudflare-4";

const file = (name = "cat.jpg", type = "image/jpeg") => new File([bytes], name, { type });
const upload = (fields) => v1.create({ account_id, file: file(), ...fields });
const get = (id) => v1.get(id, { account_id });

// Fails unless every field has the type that the SDK declares.
function assertIsImage(image) {
  const of = (value, ...types) => assert.ok(types.includes(value === null ? "null" : typeof value), JSON.stringify(image));
  of(image.id, "string");
  of(image.creator, "string", "null", "undefined");
  of(image.filename, ...(image.draft ? ["null", "string"] : ["string"]));
  of(image.meta, "object", "undefined");
  of(image.requireSignedURLs, "boolean");
  assert.match(image.uploaded, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Math.abs(Date.parse(image.uploaded) - Date.now()) < 600_000, image.uploaded);
  assert.ok(Array.isArray(image.variants) && image.variants.length > 0);
  assert.deepEqual(image.variants, [...image.variants].sort());
  for (const url of image.variants) assert.ok(URL.canParse(url), url);
  assert.ok(!("metadata" in image));
  return image;
}

const publicUrl = (image) => image.variants.find((url) => url.endsWith("/public"));

async function assertIsDelivered(url, status = 200) {
  const answer = await fetch(url);
  const body = Buffer.from(await answer.arrayBuffer());
  assert.equal(answer.status, status, `${url}: ${body.subarray(0, 200)}`);
  if (status === 200) assert.match(answer.headers.get("content-type"), /^image\//);
  return body;
}

const blob = async (id) => Buffer.from(await (await v1.blobs.get(id, { account_id })).arrayBuffer());

// --- Uploads ---

const FILES = {
  "a File": () => file("a cat.jpg"),
  "a File of no type": () => file("a cat.jpg", ""),
  "a File of a wrong type": () => file("a cat.jpg", "text/plain"),
  "a Buffer": () => Cloudflare.toFile(bytes, "a cat.jpg"),
  "a Buffer with its type": () => Cloudflare.toFile(bytes, "a cat.jpg", { type: "image/jpeg" }),
  "a stream": () => fs.createReadStream(picture),
  "an answer of fetch": () => fetch(origin),
};
for (const [what, make] of Object.entries(FILES)) {
  await check(`upload ${what}`, async () => {
    const image = assertIsImage(await upload({ file: await make() }));
    assert.match(image.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(["a cat.jpg", "cat.jpg"].includes(image.filename), image.filename);
    assert.equal(image.requireSignedURLs, false);
    assert.deepEqual(assertIsImage(await get(image.id)), image);
    assert.ok(bytes.equals(await blob(image.id)));
    await assertIsDelivered(publicUrl(image));
  });
}

await check("upload by URL", async () => {
  const image = assertIsImage(await v1.create({ account_id, url: origin, metadata: { from: "afar" }, requireSignedURLs: false }));
  assert.equal(image.filename, "cat.jpg");
  assert.deepEqual(image.meta, { from: "afar" });
  assert.ok(bytes.equals(await blob(image.id)));
});

await check("a URL without a file is refused", async () => {
  const url = `${origin}.none`;
  const error = await refused(() => v1.create({ account_id, url }), Cloudflare.BadRequestError, 400, 5454);
  assert.match(error.message, /404/);
});

await check("metadata in fields of its own is text", async () => {
  const metadata = { k: 1, yes: true, deep: { x: "y" }, arr: ["a", "b"] };
  const image = assertIsImage(await upload({ metadata, creator: "u1", requireSignedURLs: false }));
  assert.deepEqual(image.meta, { k: "1", yes: "true", deep: { x: "y" }, arr: ["a", "b"] });
  assert.equal(image.creator, "u1");
});

await check("metadata of many fields", async () => {
  const metadata = Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`k${index}`, "v"]));
  assert.deepEqual((await upload({ metadata })).meta, metadata);
});

await check("metadata as JSON keeps its types", async () => {
  const metadata = { k: 1, yes: true, none: null, deep: { x: ["é", 2] } };
  const image = await upload({ metadata: JSON.stringify(metadata) });
  assert.deepEqual(image.meta, metadata);
});

// --- IDs ---

for (const id of ["a/b%c d", "é ü", "x#y?z", "a/b/c.jpg", "50%", "a+b&c=d"]) {
  const spellings = encodes ? [id] : [id, encodeURIComponent(id)].filter((id) => !/[#?]/.test(id));
  await check(`the ID ${id}`, async () => {
    const image = assertIsImage(await upload({ id }));
    assert.equal(image.id, id);
    for (const spelled of spellings) {
      assert.equal((await get(spelled)).id, id, spelled);
      assert.ok(bytes.equals(await blob(spelled)), spelled);
      const edited = assertIsImage(await v1.edit(spelled, { account_id, metadata: { spelled } }));
      assert.equal(edited.id, id);
      assert.deepEqual((await get(spelled)).meta, { spelled });
    }
    await assertIsDelivered(publicUrl(image));
    await refused(() => upload({ id }), Cloudflare.ConflictError, 409, 5409);
    await v1.delete(spellings.at(-1), { account_id });
    for (const spelled of spellings) await refused(() => get(spelled), Cloudflare.NotFoundError, 404, 5404);
    // It is free at once.
    assert.equal((await upload({ id })).id, id);
    await v1.delete(spellings[0], { account_id });
  });
}

for (const id of ["/a", "a/", "a//b", "2cdc28f0-017a-49c4-9ed7-87056c83901f", "x".repeat(1025)]) {
  await check(`the ID ${id.slice(0, 40)} is refused`, () => refused(() => upload({ id }), Cloudflare.BadRequestError, 400, 5411));
}

// --- Changes ---

await check("edit", async () => {
  const { id } = await upload({ id: "edited", creator: "u1", metadata: { a: "1" } });
  let image = assertIsImage(await v1.edit(id, { account_id, metadata: { z: 1 }, creator: "u2" }));
  assert.deepEqual(image.meta, { z: 1 });
  assert.equal(image.creator, "u2");
  image = await v1.edit(id, { account_id, requireSignedURLs: true });
  assert.equal(image.requireSignedURLs, true);
  assert.deepEqual([image.meta, image.creator], [{ z: 1 }, "u2"]);
  assert.deepEqual(await get(image.id), image);
  await assertIsDelivered(publicUrl(image), 403);
});

await check("delete", async () => {
  const image = await upload({ id: "deleted" });
  const answer = await client.delete(`/accounts/${account_id}/images/v1/deleted`);
  assert.deepEqual(answer.result, {});
  assert.deepEqual([answer.success, answer.errors, answer.messages], [true, [], []]);
  await refused(() => get("deleted"), Cloudflare.NotFoundError, 404, 5404);
  await refused(() => v1.delete("deleted", { account_id }), Cloudflare.NotFoundError, 404, 5404);
  await assertIsDelivered(publicUrl(image), 404);
});

// --- Lists ---

const PAGED = Array.from({ length: 12 }, (_, index) => `paged-${String(index).padStart(2, "0")}`);
await check("images for the lists", async () => {
  for (const [index, id] of PAGED.entries()) {
    const metadata = JSON.stringify({ n: index, status: index % 2 ? "active" : "off", region: { name: ["us", "eu", "as"][index % 3] } });
    await upload({ id, creator: "pages", metadata });
  }
});

const idsOf = (images) => images.map((image) => assertIsImage(image).id);

await check("list v1 finds all by iteration", async () => {
  const all = [];
  for await (const page of v1.list({ account_id, creator: "pages", per_page: 5 })) {
    all.push(...idsOf(page.images));
    assert.ok(all.length <= PAGED.length, "it does not end");
  }
  assert.deepEqual(all, PAGED.toReversed());
});

await check("list v1 with page numbers", async () => {
  const page = await v1.list({ account_id, creator: "pages", page: 3, per_page: 5 });
  assert.deepEqual(idsOf(page.result.images), ["paged-01", "paged-00"]);
  assert.equal(page.result_info.page, 3);
  assert.equal(page.result_info.per_page, 5);
  const past = await v1.list({ account_id, creator: "pages", page: 4, per_page: 5 });
  assert.deepEqual(past.result.images, []);
  assert.equal(past.hasNextPage(), false);
});

await check("list v2 goes on with its token", async () => {
  for (const [sort_order, expected] of [["asc", PAGED], ["desc", PAGED.toReversed()], [undefined, PAGED.toReversed()]]) {
    const all = [];
    let continuation_token;
    do {
      const page = await v2.list({ account_id, creator: "pages", per_page: 5, sort_order, continuation_token });
      assert.ok(page.images.length > 0, "an empty page");
      all.push(...idsOf(page.images));
      assert.ok(all.length <= PAGED.length, "it does not end");
      continuation_token = page.continuation_token;
    } while (continuation_token);
    assert.equal(continuation_token, null);
    assert.deepEqual(all, expected);
  }
});

await check("list v2 takes no token of others", () =>
  refused(() => v2.list({ account_id, continuation_token: "eyJhIjoxfQ" }), Cloudflare.BadRequestError, 400, 5400));

await check("list v2 by metadata", async () => {
  const FILTERS = [
    [{ "meta.status[eq]": "active" }, [1, 3, 5, 7, 9, 11]],
    [{ "meta.n[gte:number]": "9" }, [9, 10, 11]],
    [{ "meta.n[gt]": "1", "meta.n[lt]": "4" }, [2, 3]],
    [{ "meta.region.name[in]": "us|as", "meta.status[eq:string]": "off" }, [0, 2, 6, 8]],
    [{ "meta.n[eq]": "5" }, [5]],
    [{ "meta.n[eq:number]": "5" }, [5]],
    [{ "meta.n[eq:string]": "5" }, []],
  ];
  for (const [filter, expected] of FILTERS) {
    const found = await v2.list({ account_id, sort_order: "asc", creator: "pages", ...filter });
    assert.deepEqual(idsOf(found.images), expected.map((index) => PAGED[index]), JSON.stringify(filter));
  }
  if (encodes) {
    const found = await v2.list({ account_id, sort_order: "asc", meta: { "status[eq]": "active", "n[lte:number]": "3" } });
    assert.deepEqual(idsOf(found.images), ["paged-01", "paged-03"]);
  }
});

await check("wrong filters are refused", async () => {
  const list = (filter) => refused(() => v2.list({ account_id, ...filter }), Cloudflare.BadRequestError, 400, 5400);
  let error = await list({ "meta.status[not-eq]": "x" });
  assert.equal(error.errors[0].message, "Unsupported metadata filter operator: 'not-eq'");
  error = await list(Object.fromEntries([..."abcdef"].map((name) => [`meta.${name}[eq]`, "1"])));
  assert.equal(error.errors[0].message, "Too many metadata filters: 6 provided, maximum 5 allowed");
});

await check("images without a creator", async () => {
  const ids = async (list) => idsOf((await list).images);
  const nobody = await upload({});
  for (const found of [await ids(v2.list({ account_id, creator: "" })), await ids(v1.list({ account_id, creator: "" }).then((page) => page.result))]) {
    assert.equal(found[0], nobody.id);
    assert.ok(!found.some((id) => PAGED.includes(id)));
  }
});

await check("stats", async () => {
  const { count } = await v1.stats.get({ account_id });
  assert.equal(typeof count.allowed, "number");
  const before = count.current;
  const { id } = await upload({});
  assert.equal((await v1.stats.get({ account_id })).count.current, before + 1);
  await v1.delete(id, { account_id });
  assert.equal((await v1.stats.get({ account_id })).count.current, before);
});

// --- Keys and private images ---

function signed(url, key, seconds) {
  const path = new URL(url).pathname + (seconds ? `?exp=${seconds}` : "");
  const sig = createHmac("sha256", key).update(path).digest("hex");
  return new URL(path + (seconds ? "&" : "?") + `sig=${sig}`, url).href;
}

await check("keys", async () => {
  const names = ({ keys }) => keys.map((key) => (assert.equal(typeof key.value, "string"), key.name)).sort();
  const first = await v1.keys.list({ account_id });
  assert.deepEqual(names(first), ["default"]);
  const both = await v1.keys.update("second", { account_id });
  assert.deepEqual(names(both), ["default", "second"]);
  const image = await upload({ id: "private", requireSignedURLs: true });
  const url = publicUrl(image);
  const soon = Math.floor(Date.now() / 1000) + 60;
  await assertIsDelivered(url, 403);
  for (const { value } of both.keys) {
    await assertIsDelivered(signed(url, value, soon));
    await assertIsDelivered(signed(url, value));
    await assertIsDelivered(signed(url, value, soon - 120), 403);
  }
  assert.deepEqual(names(await v1.keys.delete("second", { account_id })), ["default"]);
  const second = both.keys.find((key) => key.name === "second");
  await assertIsDelivered(signed(url, second.value, soon + 1), 403);
  const renewed = await v1.keys.delete("default", { account_id });
  assert.deepEqual(names(renewed), ["default"]);
  assert.notEqual(renewed.keys[0].value, first.keys[0].value);
  await assertIsDelivered(signed(url, first.keys[0].value, soon + 2), 403);
  await assertIsDelivered(signed(url, renewed.keys[0].value, soon + 2));
});

// --- Variants ---

await check("variants", async () => {
  const { variants } = v1;
  const options = { fit: "scale-down", width: 32, height: 32, metadata: "none" };
  const image = await upload({ id: "varied" });
  assert.deepEqual(Object.keys((await variants.list({ account_id })).variants), ["public"]);
  const { variant } = await variants.create({ account_id, id: "hero", options, neverRequireSignedURLs: true });
  assert.deepEqual(variant, { id: "hero", options, neverRequireSignedURLs: true });
  assert.deepEqual((await variants.get("hero", { account_id })).variant, variant);
  assert.deepEqual((await variants.list({ account_id })).variants.hero, variant);
  const urls = (await get(image.id)).variants;
  assert.deepEqual(urls.map((url) => url.split("/").at(-1)), ["hero", "public"]);
  const small = await assertIsDelivered(urls[0]);
  const wider = { ...options, width: 48, height: 48 };
  const edited = await variants.edit("hero", { account_id, options: wider, neverRequireSignedURLs: false });
  assert.deepEqual(edited.variant, { id: "hero", options: wider, neverRequireSignedURLs: false });
  assert.ok(!small.equals(await assertIsDelivered(urls[0])), "the old picture is still shown");
  await refused(() => variants.create({ account_id, id: "hero", options }), Cloudflare.ConflictError, 409, 5409);
  await refused(() => variants.delete("public", { account_id }), Cloudflare.BadRequestError, 400, 5400);
  await refused(() => variants.get("none", { account_id }), Cloudflare.NotFoundError, 404, 5401);
  for (const wrong of [{ id: "w=1", options }, { id: "bad", options: { ...options, fit: "huge" } }, { id: "bad", options: { ...options, width: 0 } }]) {
    await refused(() => variants.create({ account_id, ...wrong }), Cloudflare.BadRequestError, 400, 5400);
  }
  await variants.delete("hero", { account_id });
  await refused(() => variants.get("hero", { account_id }), Cloudflare.NotFoundError, 404, 5401);
  await assertIsDelivered(urls[0], 403);
});

// --- Direct uploads ---

async function post(url, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  const answer = await fetch(url, { method: "POST", body: form });
  return [answer.status, await answer.json()];
}

async function assertIsDraft(id) {
  const draft = assertIsImage(await get(id));
  assert.equal(draft.draft, true);
  assert.ok(!idsOf((await v2.list({ account_id })).images).includes(id), "a draft is in a list");
  assert.ok(!idsOf((await v1.list({ account_id })).result.images).includes(id), "a draft is in a list");
}

await check("direct upload without fields", async () => {
  const { id, uploadURL } = await v2.directUploads.create({ account_id });
  await assertIsDraft(id);
  const [status, answer] = await post(uploadURL, { file: file("direct.jpg") });
  assert.equal(status, 200, JSON.stringify(answer));
  assert.equal(answer.success, true);
  assert.equal(assertIsImage(answer.result).filename, "direct.jpg");
  assert.deepEqual(await get(id), answer.result);
  assert.ok(!("draft" in answer.result));
  assert.ok(bytes.equals(await blob(id)));
  const [again, refusal] = await post(uploadURL, { file: file() });
  assert.equal(again, 409);
  assert.equal(refusal.success, false);
});

await check("direct upload with everything", async () => {
  const expiry = new Date(Date.now() + 600_000).toISOString();
  const fields = { id: "direct/é", creator: "u3", metadata: { a: { b: "c" } }, requireSignedURLs: true, expiry };
  const { id, uploadURL } = await v2.directUploads.create({ account_id, ...fields });
  assert.equal(id, "direct/é");
  await assertIsDraft(encodes ? id : encodeURIComponent(id));
  const [status, answer] = await post(uploadURL, { else: "x", file: file("é.jpg") });
  assert.equal(status, 200, JSON.stringify(answer));
  const { result } = answer;
  assert.deepEqual([result.id, result.creator, result.filename, result.requireSignedURLs], [id, "u3", "é.jpg", true]);
  assert.deepEqual(result.meta, { a: { b: "c" } });
});

await check("direct upload without a file", async () => {
  const { uploadURL } = await v2.directUploads.create({ account_id });
  const [status] = await post(uploadURL, { text: "x" });
  assert.equal(status, 400);
  const [next] = await post(uploadURL, { file: file() });
  assert.equal(next, 200, "it can still be used");
  const [forged] = await post(`${uploadURL.slice(0, -4)}AAAA`, { file: file() });
  assert.equal(forged, 404);
});

await check("expiry has bounds", async () => {
  for (const seconds of [60, 7 * 3600]) {
    const expiry = new Date(Date.now() + seconds * 1000).toISOString();
    const error = await refused(() => v2.directUploads.create({ account_id, expiry }), Cloudflare.BadRequestError, 400, 5400);
    assert.equal(error.errors[0].message, "expiry is out of accepted bound.");
  }
});

// --- Calls that the SDK has no method for ---

await check("config", async () => {
  const path = `/accounts/${account_id}/images/v1/config`;
  const image = await upload({ id: "flexible" });
  const url = publicUrl(image).replace(/public$/, "w=16,fit=cover");
  await assertIsDelivered(url, 403);
  let { result } = await client.patch(path, { body: { flexible_variants: true } });
  assert.equal(result.flexible_variants, true);
  await assertIsDelivered(url);
  ({ result } = await client.patch(path, { body: { browser_ttl: 7200 } }));
  assert.deepEqual([result.flexible_variants, result.browser_ttl], [true, 7200]);
  assert.match((await fetch(publicUrl(image))).headers.get("cache-control"), /max-age=7200\b/);
  ({ result } = await client.get(path));
  assert.equal(result.flexible_variants, true);
  ({ result } = await client.patch(path, { body: { flexible_variants: false } }));
  assert.equal(result.flexible_variants, false);
  await assertIsDelivered(url, 403);
});

await check("batch token", async () => {
  const { result } = await client.get(`/accounts/${account_id}/images/v1/batch_token`);
  const ends = Date.parse(result.expiresAt) - Date.now();
  assert.ok(ends > 3_000_000 && ends < 4_000_000, result.expiresAt);
  const root = new URL(client.baseURL).origin;
  const ask = async (method, path, body) => {
    const headers = { authorization: `Bearer ${result.token}` };
    if (typeof body === "string") headers["content-type"] = "application/json";
    const answer = await fetch(root + path, { method, headers, body });
    return [answer.status, (await answer.json()).result];
  };
  const form = new FormData();
  form.set("file", file());
  form.set("id", "of a/batch");
  let [status, image] = await ask("POST", "/images/v1", form);
  assert.equal(status, 200);
  assert.equal(assertIsImage(image).id, "of a/batch");
  [status, image] = await ask("PATCH", "/images/v1/of%20a%2Fbatch", '{"creator":"b"}');
  assert.deepEqual([status, image.creator], [200, "b"]);
  [status, image] = await ask("GET", "/images/v1/of%20a%2Fbatch");
  assert.deepEqual([status, image.creator], [200, "b"]);
  let list;
  [status, list] = await ask("GET", "/images/v2?creator=b");
  assert.deepEqual([status, idsOf(list.images)], [200, ["of a/batch"]]);
  [status, list] = await ask("POST", "/images/v2/direct_upload", "{}");
  assert.deepEqual([status, typeof list.uploadURL], [200, "string"]);
  [status] = await ask("DELETE", "/images/v1/of%20a%2Fbatch");
  assert.equal(status, 200);
});

// --- Errors ---

await check("a conflict is not tried again", async () => {
  let requests = 0;
  const send = encodes ? fetch : require("node-fetch");
  // Version 7 also asks for `data:,` once, to know its runtime.
  const counting = (url, ...rest) => ((requests += /^http/.test(url) ? 1 : 0), send(url, ...rest));
  const counted = new Cloudflare({ fetch: counting });
  await upload({ id: "taken" });
  const error = await refused(() => counted.images.v1.create({ account_id, id: "taken", file: file() }), Cloudflare.ConflictError, 409, 5409);
  assert.match(error.errors[0].message, /already exists/);
  assert.equal(requests, 1);
});

await check("tokens", async () => {
  const as = (settings) => new Cloudflare({ apiToken: null, ...settings }).images.v1;
  await refused(() => as({ apiToken: "a-token-that-is-wrong" }).stats.get({ account_id }), Cloudflare.AuthenticationError, 401, 10000);
  const reader = as({ apiToken: setting("READ_TOKEN") });
  assert.equal((await reader.get("taken", { account_id })).id, "taken");
  await refused(() => reader.delete("taken", { account_id }), Cloudflare.PermissionDeniedError, 403, 10000);
  await refused(() => v1.get("taken", { account_id: "another" }), Cloudflare.PermissionDeniedError, 403, 5403);
  const pair = as({ apiEmail: "me@example.com", apiKey: setting("CLOUDFLARE_API_TOKEN") });
  assert.equal((await pair.get("taken", { account_id })).id, "taken");
});

await check("what is no image is refused", async () => {
  const wrong = (content, ...expected) => refused(() => upload({ file: new File(content, "a.jpg", { type: "image/jpeg" }) }), ...expected);
  await wrong(["hello"], Cloudflare.APIError, 415, 5455);
  await wrong([], Cloudflare.BadRequestError, 400, 5400);
  await wrong([bytes.subarray(0, 200)], Cloudflare.BadRequestError, 400, 9422);
  await refused(() => v1.create({ account_id }), Cloudflare.BadRequestError, 400, 5400);
  await refused(() => upload({ url: origin }), Cloudflare.BadRequestError, 400, 5400);
  await refused(() => upload({ metadata: { a: "x".repeat(1100) } }), Cloudflare.BadRequestError, 400, 5400);
  await refused(() => client.post(`/accounts/${account_id}/images/v1`, { body: { id: "x" } }), Cloudflare.APIError, 415, 5415);
  await refused(() => client.get(`/accounts/${account_id}/images/v3`), Cloudflare.NotFoundError, 404, 7003);
});
