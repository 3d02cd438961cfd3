// What can be copied: the URL that is shown, and code that makes such URLs.

const WIDTHS = [320, 640, 960, 1280, 1920];

// Each takes what is asked for: the public address, the prefix of URLs, the options and the source.
export const SNIPPETS = {
  "a URL": (asked) => address(asked, asked.options),
  "<img srcset sizes>": image,
  "<picture>": picture,
  "a loader for next/image": nextLoader,
  "Nuxt Image": nuxt,
  "unpic": unpic,
  "a flow": flow,
};

export function address({ site, prefix, source }, options) {
  return `${site}${prefix}${options || "format=auto"}/${inUrl(source)}`;
}

// A source as it stands behind the options: a bare ? or # would not be part of it.
export function inUrl(source) {
  if (/^https?:/i.test(source)) return /[?#]/.test(source) ? encodeURIComponent(source) : source;
  return source.replace(/^\/+/, "");
}

// The options without some of them.
function without(options, ...names) {
  return options.split(",").filter((pair) => pair && !names.includes(pair.split("=")[0]));
}

function srcset(asked, format) {
  const largest = Number(valueOf(asked.options, "width")) || asked.natural?.width || 1920;
  const height = Number(valueOf(asked.options, "height"));
  const widths = [...WIDTHS.filter((width) => width < largest), Math.round(largest)];
  const rest = without(asked.options, "width", "height", "dpr", ...(format ? ["format"] : []));
  return widths.map((width) => {
    const box = height ? [`width=${width}`, `height=${Math.round((height * width) / largest)}`] : [`width=${width}`];
    const wanted = format ? [`format=${format}`] : has(rest, "format") ? [] : ["format=auto"];
    return `${address(asked, [...box, ...rest, ...wanted].join(","))} ${width}w`;
  });
}

function image(asked) {
  const lines = srcset(asked);
  const [, largest] = [lines[0], lines.at(-1).split(" ")[0]];
  return `<img src="${attribute(largest)}"\n     srcset="${attribute(lines.join(",\n             "))}"\n     sizes="100vw"${size(asked)} alt="">`;
}

function picture(asked) {
  const sources = ["jxl", "avif", "webp"].map((format) => `  <source type="image/${format}" sizes="100vw"\n          srcset="${attribute(srcset(asked, format).join(",\n                  "))}">\n`);
  const fallback = srcset(asked, "jpeg").at(-1).split(" ")[0];
  return `<picture>\n${sources.join("")}  <img src="${attribute(fallback)}"${size(asked)} alt="">\n</picture>`;
}

function size({ natural }) {
  return natural ? ` width="${natural.width}" height="${natural.height}"` : "";
}

function nextLoader({ site, prefix, options }) {
  const rest = without(options, "width", "height", "quality", "dpr");
  if (!has(rest, "format")) rest.push("format=auto");
  return `// image-loader.js; in next.config.js: images: { loader: "custom", loaderFile: "./image-loader.js" }
export default function safelight({ src, width, quality }) {
  const options = \`width=\${width},quality=\${quality || ${valueOf(options, "quality") || 75}},${rest.join(",")}\`;
  return \`${site}${prefix}\${options}/\${src.replace(/^\\/+/, "")}\`;
}`;
}

function nuxt({ site, prefix, options, source }) {
  const isUsual = prefix === "/cdn-cgi/image/";
  const modifiers = without(options, "width", "height", "quality", "format", "fit").map((pair) => pair.split("="));
  const more = modifiers.length ? ` :modifiers="${attribute(`{ ${modifiers.map(([name, value]) => `'${name}': '${value}'`).join(", ")} }`)}"` : "";
  const known = ["width", "height", "quality", "format", "fit"].map((name) => [name, valueOf(options, name)]).filter(([, value]) => value);
  const attributes = known.map(([name, value]) => ` ${name}="${attribute(value)}"`).join("");
  const note = isUsual ? "" : `// The provider writes /cdn-cgi/image/: add it to server.prefixes.\n`;
  return `${note}// nuxt.config.ts
export default defineNuxtConfig({
  modules: ["@nuxt/image"],
  image: { provider: "cloudflare", cloudflare: { baseURL: "${site || "https://img.example.com"}" } },
});

<!-- in a page -->
<NuxtImg src="${attribute(source)}"${attributes}${more} alt="" />`;
}

function unpic({ site, options, source }) {
  const operations = without(options).map((pair) => {
    const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
    const isNumber = /^[0-9.]+$/.test(value);
    return `  ${/^[a-z]+$/.test(name) ? name : `"${name}"`}: ${isNumber ? value : `"${value}"`},\n`;
  });
  return `import { transform } from "unpic/providers/cloudflare";

const url = transform("${site || "https://img.example.com"}/${inUrl(source)}", {\n${operations.join("")}}, { domain: "${host(site)}" });`;
}

function flow({ options, source }) {
  const path = /^https?:/i.test(source) ? "/" : source;
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || "/";
  const fixed = without(options, "width", "height");
  if (!has(fixed, "format")) fixed.push("format=auto");
  return `[[flow]]\nmatch = ["${folder}**"]\noptions = "${fixed.join(",")}"\nquery = ["width", "height"]`;
}

function has(pairs, name) {
  return pairs.some((pair) => pair.startsWith(`${name}=`));
}

function valueOf(options, name) {
  const pair = options.split(",").find((one) => one.startsWith(`${name}=`));
  return pair?.slice(name.length + 1) ?? "";
}

function host(site) {
  return URL.canParse(site) ? new URL(site).host : "img.example.com";
}

function attribute(text) {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
}
