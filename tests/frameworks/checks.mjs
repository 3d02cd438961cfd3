// What must be so in a page.

/** Runs in the page before its own scripts: what moves. */
export function watchShifts() {
  window.shifts = [];
  if (!PerformanceObserver.supportedEntryTypes.includes("layout-shift")) return;
  const name = ({ node }) => node?.currentSrc || node?.nodeName;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!entry.hadRecentInput) window.shifts.push(`${entry.value.toFixed(4)} by ${entry.sources.map(name)}`);
    }
  }).observe({ type: "layout-shift", buffered: true });
}

/** Runs in the page: scrolls to its end as a reader does, and tells of every picture what is shown of it. */
export async function look() {
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  for (let top = 0; top < document.documentElement.scrollHeight; top += innerHeight / 2) {
    scrollTo(0, top);
    await pause(50);
  }
  const pictures = [];
  for (const image of document.images) {
    const error = await image.decode().then(() => "", String);
    const alone = new Image();
    alone.src = image.currentSrc;
    await alone.decode().catch(() => {});
    const source = image.parentElement.tagName === "PICTURE" && [...image.parentElement.querySelectorAll("source")].find(({ media }) => matchMedia(media).matches);
    pictures.push({
      url: image.currentSrc,
      error,
      pixels: alone.naturalWidth,
      place: image.getBoundingClientRect().width * devicePixelRatio,
      offered: (source || image).srcset.split(/,\s+/).map((candidate) => candidate.trim().split(/\s+/)[0]).filter(Boolean),
      hasSize: (image.hasAttribute("width") && image.hasAttribute("height")) || getComputedStyle(image).aspectRatio !== "auto",
    });
  }
  scrollTo(0, 0);
  return { pictures, shifts: window.shifts };
}

/** What is wrong with the pictures of a page. */
export function faults({ pictures, shifts }) {
  const wrong = shifts.map((shift) => `the page moves: ${shift}`);
  if (pictures.length < 3) wrong.push(`${pictures.length} pictures`);
  for (const picture of pictures) {
    const name = decodeURIComponent(new URL(picture.url || "none:").pathname);
    const say = (what) => wrong.push(`${name}: ${what}`);
    if (picture.error || picture.pixels === 0) say(`is not shown: ${picture.error}`);
    if (!picture.hasSize) say("has neither width and height nor an aspect ratio");
    const asked = widthOf(picture.url);
    if (!asked) {
      say("has no width in its URL");
      continue;
    }
    // A picture is not enlarged: one that is narrower than was asked for has the width of its source.
    const widths = { dandelion: 5312, dogs: 2056, mountains: 1333, fig: 640 };
    const source = widths[Object.keys(widths).find((part) => picture.url.includes(part))];
    const wanted = Math.min(asked, source);
    // The height of its place, which is rounded, may leave it a pixel less.
    if (wanted !== picture.pixels && wanted !== picture.pixels + 1) say(`is ${picture.pixels} pixels wide, not ${wanted}`);
    const offered = picture.offered.map(widthOf).filter(Boolean);
    if (asked < 0.75 * picture.place && asked < Math.max(...offered)) say(`has ${asked} pixels for ${picture.place}`);
    if (asked > 2 * picture.place && offered.some((width) => width < asked && width >= picture.place)) say(`has ${asked} pixels for ${picture.place}, of ${offered}`);
  }
  return wrong;
}

function widthOf(url) {
  const { pathname, searchParams } = new URL(url, "http://site");
  return Number(/[/,]w(?:idth)?=(\d+)/.exec(pathname)?.[1] ?? searchParams.get("w")) || undefined;
}

/** What is wrong with the formats that a browser got for what it asked. */
export function wrongFormats(answers) {
  const wrong = [];
  for (const { url, accept, type } of answers) {
    const better = ["image/jxl", "image/avif", "image/webp"].filter((type) => accept.includes(type));
    if (better.length > 0 ? !better.includes(type) : !["image/jpeg", "image/png"].includes(type)) wrong.push(`${url} is ${type} for ${accept}`);
  }
  return wrong;
}
