// Opens every site in Chromium and Firefox: `make test-browsers`.
//
//   visit.mjs SAFELIGHT EXAMPLES FOLDER [NAME...]
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

import { faults, look, watchShifts, wrongFormats } from "./checks.mjs";
import { answers, build, freePort, NAMES, serve } from "./sites.mjs";

const SCREENS = [
  { width: 390, height: 844, deviceScaleFactor: 1 },
  { width: 390, height: 844, deviceScaleFactor: 3 },
  { width: 1280, height: 800, deviceScaleFactor: 1 },
  { width: 1280, height: 800, deviceScaleFactor: 2 },
];
// By name, what a client accepts, and what it gets of a photograph.
const CLIENTS = {
  "WebP alone": ["image/webp,*/*;q=0.8", ["image/webp"]],
  "JPEG XL first": ["image/jxl,image/png,*/*;q=0.5", ["image/jxl"]],
  "anything": ["*/*", ["image/jpeg", "image/png"]],
};
const AUDITS = ["cumulative-layout-shift", "image-alt", "image-aspect-ratio", "image-delivery-insight", "image-size-responsive", "unsized-images"];

const [binary, examples, folder, ...wanted] = process.argv.slice(2).map((word, index) => (index < 3 ? path.resolve(word) : word));
const names = wanted.length > 0 ? wanted : NAMES;
const wrong = [];

/** Safelight in front of the photographs. */
async function startSafelight() {
  const [port, admin] = [await freePort(), await freePort()];
  const settings = `
    [server]
    listen = "127.0.0.1:${port}"
    drain_delay = "0 s"
    [admin]
    listen = "127.0.0.1:${admin}"
    [zone]
    origin = "file:${path.join(examples, "photos")}"
    [cache.disk]
    path = ""
  `;
  fs.writeFileSync(path.join(folder, "safelight.toml"), settings);
  const log = fs.openSync(path.join(folder, "safelight.log"), "w");
  const child = spawn(binary, ["--config", path.join(folder, "safelight.toml")], { stdio: ["ignore", log, log] });
  await answers(`http://127.0.0.1:${admin}/healthz`);
  return { url: `http://127.0.0.1:${port}`, end: () => child.kill() };
}

/** Debian's Firefox: the installed one, or that of its package. */
function firefox() {
  const installed = ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find(fs.existsSync);
  if (installed) return { executablePath: installed };
  const root = path.join(folder, "firefox");
  const program = path.join(root, "usr/lib/firefox-esr");
  if (!fs.existsSync(program)) {
    fs.mkdirSync(root, { recursive: true });
    execFileSync("apt-get", ["download", "firefox-esr", "libvpx7"], { cwd: root, stdio: ["ignore", "ignore", "ignore"] });
    for (const file of fs.readdirSync(root)) execFileSync("dpkg", ["-x", file, "."], { cwd: root });
  }
  const env = { ...process.env, HOME: root, LD_LIBRARY_PATH: `${program}:${path.join(root, "usr/lib/x86_64-linux-gnu")}` };
  return { executablePath: path.join(program, "firefox-esr"), env };
}

function launch(browser) {
  if (browser === "firefox") return puppeteer.launch({ browser, headless: true, ...firefox() });
  const args = ["--no-sandbox", "--disable-gpu"];
  return puppeteer.launch({ browser, headless: true, executablePath: "/usr/bin/chromium", args });
}

/** A page of a browser that has nothing in its cache, and what is wrong with what it asks for. */
async function open(browser, screen) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(screen);
  const [found, seen] = [[], []];
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && found.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => found.push(`script: ${error}`));
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText ?? "failed";
    // A browser breaks off a picture when a script changes `srcset` or `sizes` before it has come.
    if (!/ABORTED/.test(reason)) found.push(`${request.url()}: ${reason}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) found.push(`${response.url()}: ${response.status()}`);
    const type = response.headers()["content-type"] ?? "";
    const accept = response.request().headers().accept ?? "";
    if (type.startsWith("image/") && response.url().startsWith("http")) seen.push({ url: response.url(), accept, type });
  });
  return { page, found, seen, close: () => context.close() };
}

async function visit(browser, kind, name, url, screen) {
  const { page, found, seen, close } = await open(browser, screen);
  await page.evaluateOnNewDocument(watchShifts);
  await page.goto(url, { waitUntil: "load" });
  const shown = await page.evaluate(look);
  await page.screenshot({ path: path.join(folder, "screenshots", `${name}-${kind}-${screen.width}-${screen.deviceScaleFactor}x.png`), fullPage: true });
  await close();
  found.push(...faults(shown), ...wrongFormats(seen));
  const types = [...new Set(seen.map(({ type }) => type.replace("image/", "")))].sort().join(" ");
  const widths = shown.pictures.map(({ pixels }) => pixels).join(" ");
  console.log(`${name.padEnd(10)} ${kind.padEnd(9)} ${screen.width} x ${screen.deviceScaleFactor}  ${types.padEnd(14)} ${widths.padEnd(24)} ${found.length > 0 ? "WRONG" : "good"}`);
  wrong.push(...found.map((what) => `${name}, ${kind}, ${screen.width} x ${screen.deviceScaleFactor}: ${what}`));
}

/** The page in plain HTML as other clients see it. */
async function visitAs(browser, url, client) {
  const [accept, types] = CLIENTS[client];
  const { page, found, seen, close } = await open(browser, SCREENS[0]);
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const isPicture = request.resourceType() === "image";
    request.continue(isPicture ? { headers: { ...request.headers(), accept } } : {});
  });
  await page.goto(url, { waitUntil: "load" });
  const shown = await page.evaluate(look);
  await close();
  found.push(...faults({ ...shown, shifts: [] }));
  const photographs = seen.filter(({ url }) => url.endsWith(".jpg"));
  found.push(...photographs.filter(({ type }) => !types.includes(type)).map(({ url, type }) => `${url} is ${type}`));
  console.log(`${"html".padEnd(10)} for ${client}: ${[...new Set(photographs.map(({ type }) => type))]} ${found.length > 0 ? "WRONG" : "good"}`);
  wrong.push(...found.map((what) => `html for ${client}: ${what}`));
}

async function audit(browser, name, url) {
  const page = await browser.newPage();
  const { lhr } = await lighthouse(url, { onlyAudits: AUDITS, logLevel: "error" }, undefined, page);
  await page.close();
  const failed = AUDITS.map((id) => lhr.audits[id]).filter(({ score }) => score !== null && score < 1);
  console.log(`${name.padEnd(10)} Lighthouse: ${failed.length > 0 ? failed.map(({ id }) => id) : "good"}`);
  for (const { id, displayValue, details } of failed) {
    wrong.push(`${name}, Lighthouse: ${id}: ${displayValue ?? ""} ${JSON.stringify(details?.items ?? []).slice(0, 600)}`);
  }
}

fs.mkdirSync(path.join(folder, "screenshots"), { recursive: true });
const safelight = await startSafelight();
const sites = path.join(folder, "sites");
build(examples, sites, names, safelight.url);
const browsers = { chromium: await launch("chrome"), firefox: await launch("firefox") };
try {
  for (const [kind, browser] of Object.entries(browsers)) console.log(`${kind}: ${await browser.version()}`);
  for (const name of names) {
    const site = await serve(name, sites, safelight.url);
    for (const [kind, browser] of Object.entries(browsers)) {
      for (const screen of SCREENS) await visit(browser, kind, name, site.url, screen);
    }
    if (name === "html") for (const client of Object.keys(CLIENTS)) await visitAs(browsers.chromium, site.url, client);
    await audit(browsers.chromium, name, site.url);
    site.end();
  }
} finally {
  for (const browser of Object.values(browsers)) await browser.close();
  safelight.end();
}
for (const what of wrong) console.error(what);
process.exit(wrong.length > 0 ? 1 : 0);
