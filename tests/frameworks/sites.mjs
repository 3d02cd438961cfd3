// The sites, each built from its packages in a folder of its own, and served as it is in production.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";

// By name, the folder of the built site.
const STATIC = {
  html: "html",
  nuxt: "nuxt/.output/public",
  astro: "astro/dist",
  sveltekit: "sveltekit/build",
  angular: "angular/dist",
};
export const NAMES = [...Object.keys(STATIC), "next"];
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json" };
const QUIET = { ASTRO_TELEMETRY_DISABLED: "1", NEXT_TELEMETRY_DISABLED: "1", NG_CLI_ANALYTICS: "false", NUXT_TELEMETRY_DISABLED: "1" };

/** Copies the sites into a folder and builds those of these names. */
export function build(examples, folder, names, safelight) {
  fs.cpSync(path.join(examples, "frameworks"), folder, { recursive: true });
  fs.cpSync(path.join(examples, "nextjs-loader"), path.join(folder, "next"), { recursive: true });
  const env = { ...process.env, ...QUIET, NEXT_PUBLIC_SAFELIGHT_URL: safelight };
  for (const name of names) {
    if (name === "html") continue;
    const cwd = path.join(folder, name);
    run("npm", ["install", "--silent", "--no-audit", "--no-fund"], { cwd, env });
    run("npm", ["run", "--silent", "build"], { cwd, env });
    console.log(`${name.padEnd(10)} is built`);
  }
}

function run(command, parameters, options) {
  try {
    execFileSync(command, parameters, { ...options, stdio: "pipe" });
  } catch (error) {
    throw new Error(`${command} ${parameters.join(" ")} in ${options.cwd}:\n${error.stdout}\n${error.stderr}`);
  }
}

/** Serves a site, and returns its URL and a function that ends it. */
export async function serve(name, folder, safelight) {
  if (name === "next") return serveNext(path.join(folder, "next"));
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://site");
    if (pathname.startsWith("/cdn-cgi/")) return proxy(request, response, safelight);
    // `html` shares the stylesheet above its folder.
    const root = pathname === "/style.css" ? folder : path.join(folder, STATIC[name]);
    answer(path.join(root, path.normalize(pathname)), response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const end = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, end };
}

function answer(file, response) {
  const found = fs.existsSync(file) && fs.statSync(file).isDirectory() ? path.join(file, "index.html") : file;
  if (!fs.existsSync(found)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[path.extname(found)] ?? "application/octet-stream" });
  fs.createReadStream(found).pipe(response);
}

/** As a web server in front does it. */
function proxy(request, response, safelight) {
  const onward = http.request(safelight + request.url, { method: request.method, headers: request.headers }, (found) => {
    response.writeHead(found.statusCode, found.headers);
    found.pipe(response);
  });
  onward.on("error", () => response.headersSent || response.writeHead(502).end());
  request.pipe(onward);
}

async function serveNext(cwd) {
  const port = await freePort();
  const command = path.join(cwd, "node_modules/next/dist/bin/next");
  const child = spawn(process.execPath, [command, "start", "-H", "127.0.0.1", "-p", String(port)], { cwd, env: { ...process.env, ...QUIET }, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}/`;
  await answers(url);
  return { url, end: () => child.kill() };
}

export async function freePort() {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until a server answers. */
export async function answers(url) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (await fetch(url).then((answer) => answer.ok, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url} does not answer`);
}
