// The playground: what is chosen becomes a URL, and the URL is asked for as four kinds of clients would ask.

import { element, makeControls } from "./controls.js";
import { SNIPPETS, address } from "./snippets.js";

// The words of `accept` in requests, and what such a client shows.
const CLIENTS = { jxl: "JPEG XL, AVIF, WebP", avif: "AVIF, WebP", webp: "WebP", none: "JPEG, PNG, GIF" };
const PICTURES = /\.(apng|avif|bmp|gif|heic|heif|ico|jfif|jpe|jpeg|jpg|jxl|pbm|pgm|png|pnm|ppm|qoi|svg|svgz|tif|tiff|webp)$/i;
const KINDS = {
  transformation: "a transformation URL",
  "next-image": "a URL of the Next.js optimizer",
  flow: "a plain URL that a flow takes",
  hosted: "the delivery URL of a hosted image",
  original: "a path of the zone, passed on as it is",
  nothing: "nothing that is served",
};
const TRIES = 6;
const PAUSE = 350; // milliseconds from the last change to the request

const at = (id) => document.getElementById(id);
const state = { prefix: "/cdn-cgi/image/", shown: "jxl", isChosen: false, answers: {}, before: null, sourceBytes: null, urls: [] };
let controls;
let pending;
let timer;

function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { authorization: `Bearer ${token}` } : {};
}

// Asks the server. A refusal for want of a token opens the form for it. A server that is busy says when to ask again.
async function ask(path, parameters, signal) {
  for (let left = TRIES; ; left -= 1) {
    const answer = await fetch(`${path}?${new URLSearchParams(parameters)}`, { headers: headers(), cache: "no-store", signal });
    if (answer.status === 401) at("unlock").hidden = false;
    if (answer.status !== 503 || left <= 1 || signal?.aborted) return answer;
    const seconds = Number(answer.headers.get("retry-after")) || 1;
    await new Promise((done) => setTimeout(done, 1000 * Math.min(seconds, 5)));
  }
}

async function askJson(path, parameters, signal) {
  const answer = await ask(path, parameters, signal);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error((body.errors ?? [`status ${answer.status}`]).join("; "));
  return body;
}

async function start() {
  let table;
  try {
    table = await askJson("/options", {});
  } catch (error) {
    say(error.message);
    return;
  }
  at("unlock").hidden = true;
  state.prefix = table.prefix ?? "/cdn-cgi/image/";
  at("controls").replaceChildren();
  controls = makeControls(at("controls"), table.options, change);
  const link = new URLSearchParams(location.hash.slice(1));
  at("source").value = link.get("source") ?? "";
  controls.set(link.get("options") ?? "width=800,format=auto");
  browse("/");
  update();
}

function change() {
  clearTimeout(timer);
  timer = setTimeout(update, PAUSE);
}

function asked() {
  const answer = state.answers[state.shown];
  return {
    site: at("site").value.trim().replace(/\/+$/, ""),
    prefix: state.prefix,
    options: controls.text(),
    source: at("source").value.trim(),
    natural: answer?.width ? { width: answer.width, height: answer.height } : undefined,
  };
}

async function update() {
  pending?.abort();
  pending = new AbortController();
  const { signal } = pending;
  const { source, options } = asked();
  history.replaceState(null, "", `#${new URLSearchParams({ source, options })}`);
  if (!source) {
    say("Choose a source.");
    return;
  }
  say("", "making …");
  const url = address({ site: "", prefix: state.prefix, source }, options);
  const previews = Object.keys(CLIENTS).map((client) => preview(url, client, signal).then((answer) => [client, answer]));
  const [answers, report, before, facts] = await Promise.all([
    Promise.all(previews),
    askJson("/check", { url, accept: state.shown }, signal).catch((error) => ({ error: error.message })),
    preview(leftUrl(source, options), state.shown, signal),
    askFacts(source, signal),
  ]);
  const urls = [...answers.map(([, answer]) => answer), before].map((answer) => answer.blob).filter(Boolean);
  // What nobody will look at is given back: the browser would keep it as long as the page.
  for (const old of signal.aborted ? urls : state.urls) URL.revokeObjectURL(old);
  if (signal.aborted) return;
  state.urls = urls;
  state.answers = Object.fromEntries(answers);
  state.before = before;
  state.sourceBytes = facts;
  // Until somebody chooses, the first that this browser can show.
  if (!state.isChosen) state.shown = answers.find(([, answer]) => answer.width)?.[0] ?? state.shown;
  show();
  showReport(report);
}

// What stands on the left: the source in a size that a screen shows, or the same picture as on the right, encoded without loss.
function leftUrl(source, options) {
  const rest = options.split(",").filter((pair) => pair && !/^(format|quality|auto-quality|max-bytes|compression|scq|slow-connection-quality)=/.test(pair));
  const left = at("left").value === "lossless" ? [...rest, "format=webp", "quality=100"] : ["width=2000", "format=webp", "quality=95"];
  return address({ site: "", prefix: state.prefix, source }, left.join(","));
}

// The bytes of the source itself.
async function askFacts(source, signal) {
  try {
    const url = address({ site: "", prefix: state.prefix, source }, "format=json");
    const facts = await askJson("/preview", { url, accept: "none" }, signal);
    return facts.original?.file_size ?? null;
  } catch {
    return null;
  }
}

// One answer, with what its headers say. A picture that this browser cannot decode has no width.
async function preview(url, accept, signal) {
  try {
    const began = performance.now();
    const answer = await ask("/preview", { url, accept }, signal);
    const type = answer.headers.get("content-type") ?? "";
    const found = {
      status: answer.status,
      type: type.replace(/;.*/, ""),
      cache: answer.headers.get("cache-status") ?? "",
      timing: answer.headers.get("server-timing") ?? "",
      warnings: [...(answer.headers.get("warning") ?? "").matchAll(/"([^"]*)"/g)].map(([, text]) => text).filter((text) => !/^\w{3}, /.test(text)),
    };
    if (!answer.ok || !type.startsWith("image/")) {
      found.text = (await answer.text()).trim();
      found.bytes = found.text.length;
      return found;
    }
    const blob = await answer.blob();
    found.total = performance.now() - began;
    found.bytes = blob.size;
    found.blob = URL.createObjectURL(blob);
    const image = new Image();
    image.src = found.blob;
    await image.decode().then(() => Object.assign(found, { width: image.naturalWidth, height: image.naturalHeight }), () => {});
    return found;
  } catch (error) {
    return { status: 0, type: "", text: error.name === "AbortError" ? "" : error.message, warnings: [], cache: "", timing: "" };
  }
}

function show() {
  const rows = Object.entries(CLIENTS).map(([client, words]) => row(client, words, state.answers[client]));
  at("clients").replaceChildren(...rows);
  const answer = state.answers[state.shown];
  const warnings = new Set(Object.values(state.answers).flatMap((one) => one.warnings));
  at("warnings").replaceChildren(...[...warnings].map((text) => element("li", { textContent: text })));
  if (!answer?.blob) {
    const json = answer?.status === 200;
    say(answer?.text || "No answer.", json ? "" : `status ${answer?.status}`);
  } else if (!answer.width) {
    say(`This browser cannot show ${answer.type}. Choose another client in the table.`);
  } else {
    at("empty").hidden = true;
    for (const [id, shown] of [["before", state.before], ["after", answer]]) {
      at(id).hidden = !shown?.blob;
      if (shown?.blob) at(id).src = shown.blob;
    }
    at("after").alt = `The result: ${answer.type}`;
    at("before").alt = "What it is compared with";
    const saved = state.sourceBytes ? `, ${percent(answer.bytes, state.sourceBytes)} of the source's ${number(state.sourceBytes)}` : "";
    at("shown").textContent = `${answer.type} of ${answer.width} × ${answer.height} pixels, ${number(answer.bytes)} bytes${saved}`;
    layout();
  }
  showSnippet();
}

function row(client, words, answer) {
  const line = element("tr");
  const choice = element("input", { type: "radio", name: "client", value: client, checked: client === state.shown });
  choice.addEventListener("change", () => {
    state.shown = client;
    state.isChosen = true;
    update();
  });
  const label = element("label");
  label.append(choice, words);
  const first = element("td");
  first.append(label);
  const ok = answer?.status === 200;
  const cells = [
    ok ? answer.type : `${answer?.status || ""} ${answer?.text ?? ""}`,
    ok ? number(answer.bytes) : "",
    ok ? (answer.width ? `${answer.width} × ${answer.height}` : "not shown here") : "",
    cacheWords(answer?.cache ?? ""),
    timingWords(answer?.timing ?? ""),
  ];
  line.append(first, ...cells.map((textContent, index) => element("td", { textContent, className: !ok && index === 0 ? "bad" : "" })));
  return line;
}

// `Cache-Status` (RFC 9211) in words.
function cacheWords(status) {
  const detail = status.match(/detail=([\w-]+)/)?.[1];
  if (/;\s*hit/.test(status)) return `hit${detail ? `, ${detail}` : ""}`;
  if (/collapsed/.test(status)) return "made once for several requests";
  if (/fwd=/.test(status)) return `made now${detail ? `, ${detail}` : ""}${/stored/.test(status) ? ", stored" : ""}`;
  return status;
}

// `Server-Timing` in words, without the steps that took no time.
function timingWords(timing) {
  const steps = [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].filter(([, , time]) => Number(time) > 0);
  return steps.map(([, name, time]) => `${name} ${time} ms`).join(", ") || (timing ? "0 ms" : "");
}

function showReport(report) {
  const rows = [];
  const add = (name, value) => value && rows.push(element("dt", { textContent: name }), element("dd", { textContent: value }));
  const cached = (part) => (part?.cached ? ` (in ${part.cached}${part.is_interim ? ", interim" : ""})` : "");
  add("problem", report.error);
  add("URL", KINDS[report.kind]);
  add("flow", report.flow);
  add("options", report.options);
  add("source", report.source && report.source.address + cached(report.source));
  add("allowed by", report.source?.allowed_by);
  add("refused", report.refusal && `${report.refusal.message} (status ${report.refusal.status}, error ${report.refusal.number})`);
  add("setting", report.refusal?.setting);
  add("makes", report.picture && report.picture.summary + cached(report.picture));
  add("Vary", report.vary);
  add("recipe", report.picture?.recipe);
  add("key", report.picture?.key);
  at("report").replaceChildren(...rows);
}

// Nothing to show, and why.
function say(text, status = "") {
  at("empty").textContent = text;
  at("empty").hidden = !text;
  at("shown").textContent = status;
  if (text) for (const id of ["before", "after", "line"]) at(id).hidden = true;
}

function layout() {
  const zoom = Number(at("zoom").value);
  const canvas = at("canvas");
  const after = at("after");
  canvas.classList.toggle("zoomed", zoom > 0);
  after.style.width = zoom ? `${(after.naturalWidth * zoom) / devicePixelRatio}px` : "";
  after.style.height = zoom ? `${(after.naturalHeight * zoom) / devicePixelRatio}px` : "";
  const before = at("before");
  before.style.width = after.style.width;
  before.style.height = after.style.height;
  const split = Number(at("split").value);
  before.style.clipPath = `inset(0 ${100 - split}% 0 0)`;
  after.style.clipPath = `inset(0 0 0 ${split}%)`;
  const line = at("line");
  line.hidden = after.hidden || before.hidden;
  line.style.left = zoom ? `${(after.offsetWidth * split) / 100}px` : `${split}%`;
}

function showSnippet() {
  const wanted = asked();
  at("snippet").textContent = wanted.source ? SNIPPETS[at("kind").value](wanted) : "";
}

async function browse(path) {
  const entries = at("entries");
  at("place").textContent = decodeURIComponent(path);
  try {
    const listing = await askJson("/list", { path });
    const parent = path.replace(/[^/]*\/$/, "");
    const lines = path === "/" ? [] : [entry("..", "", () => browse(parent))];
    const name = (found) => decodeURIComponent(found.slice(path.length));
    for (const folder of listing.folders) lines.push(entry(name(folder), "", () => browse(folder)));
    for (const { path: file, bytes } of listing.files) {
      if (PICTURES.test(file)) lines.push(entry(name(file), bytes === null ? "" : number(bytes), () => choose(file)));
    }
    if (listing.cut) lines.push(element("li", { className: "quiet", textContent: "There is more: type the path." }));
    if (lines.length === 0) lines.push(element("li", { className: "quiet", textContent: "There are no pictures here." }));
    entries.replaceChildren(...lines);
  } catch (error) {
    entries.replaceChildren(element("li", { className: "quiet", textContent: error.message }));
  }
}

function entry(name, note, open) {
  const line = element("li");
  const button = element("button", { type: "button" });
  button.append(element("span", { textContent: name }), element("span", { className: "quiet", textContent: note }));
  button.addEventListener("click", open);
  line.append(button);
  return line;
}

function choose(path) {
  at("source").value = path;
  update();
}

function number(count) {
  return count.toLocaleString("en");
}

function percent(part, whole) {
  return `${((100 * part) / whole).toFixed(part < whole / 10 ? 1 : 0)} %`;
}

at("kind").append(...Object.keys(SNIPPETS).map((name) => element("option", { value: name, textContent: name })));
at("source").addEventListener("input", change);
at("find").addEventListener("input", () => controls?.find(at("find").value));
at("left").addEventListener("change", update);
at("clear").addEventListener("click", () => {
  controls?.set("");
  update();
});
for (const id of ["zoom", "split"]) at(id).addEventListener("input", layout);
for (const id of ["kind", "site"]) at(id).addEventListener("input", () => controls && showSnippet());
at("copy").addEventListener("click", async () => {
  // Without https, browsers let nobody but a person copy.
  const copied = await navigator.clipboard?.writeText(at("snippet").textContent).then(() => true, () => false);
  at("copied").textContent = copied ? "Copied." : "The browser does not let this page copy: select the text.";
});
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value.trim());
  start();
});
start();
