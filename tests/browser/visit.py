"""A browser visits a site through safelight, with a folder, a web server and a bucket as its zone: `make browser`.

    visit.py SAFELIGHT --folder FOLDER --axe FILE [--chromium BINARY]

FOLDER keeps packages between runs; the screenshots and logs of the last run are in it. On every page pictures, scripts, styles, fonts and the film have to
work, and the browser must report no error. Each zone is visited without flows and with one for all paths, and the bytes of pictures are compared.
Then Chromium shows JPEG XL of every kind (jxl.py), a page of another host with `Cross-Origin-Embedder-Policy` shows pictures and reads their pixels, and pictures are added to the gallery of
`examples/cat-gallery` (gallery.py). The playground is used on four screens (playground.py), where FILE, axe.min.js of the package axe-core, looks for faults.
"""

import argparse
import contextlib
import pathlib
import shutil
import sys
import tempfile

from playwright.sync_api import sync_playwright

import mirror  # which finds the modules of the benchmarks
import origin
import contenders
import gallery
import jxl
import playground
import processes
from shared import BUCKET, SeaweedFS

FLOW = """
[[flow]]
match = ["/**"]
options = "format=auto,quality=80"
query = ["width", "height", "fit", "dpr", "quality", "format"]
"""
PATIENCE = 60_000  # milliseconds
# What every page must have done, and what is wrong otherwise.
LOOK = """async () => {
    const wrong = [];
    for (const image of document.images) {
        try { await image.decode(); } catch (error) { wrong.push(`${image.currentSrc}: ${error}`); }
        if (!(image.naturalWidth > 0)) wrong.push(`${image.currentSrc}: no picture`);
    }
    await document.fonts.ready;
    const fonts = [...document.fonts];
    if (fonts.length !== 1 || fonts[0].status !== 'loaded') wrong.push(`font: ${fonts.map(font => font.status)}`);
    const color = getComputedStyle(document.querySelector('h1')).color;
    if (color !== 'rgb(10, 20, 130)') wrong.push(`style: ${color}`);
    for (const film of document.querySelectorAll('video')) {
        const wait = name => new Promise((resolve, reject) => { film.addEventListener(name, resolve); film.addEventListener('error', () => reject(film.error.message)); });
        try {
            if (film.readyState < 1) await wait('loadedmetadata');
            if (!(film.videoWidth === 640 && film.duration > 2)) wrong.push(`film: ${film.videoWidth} pixels, ${film.duration} s`);
            const sought = wait('seeked');
            film.currentTime = 2;
            await sought;
        } catch (error) { wrong.push(`film: ${error}`); }
    }
    return { wrong, images: document.images.length, ran: document.documentElement.dataset.ran ?? '' };
}"""
PAGES = {"/index.html": "3,42,42", "/about/index.html": "classic"}
EMBEDDING = """<!doctype html><title>Embedding</title><link rel="icon" href="data:,">
<img alt="" src="{base}/photos/mountains.jpg"><img alt="" src="{base}/photos/drawing.svg"><img alt="" src="{base}/cdn-cgi/image/width=200/photos/dogs.jpg">
<img alt="" crossorigin src="{base}/photos/fig.png"><img alt="" crossorigin src="{base}/cdn-cgi/image/width=200,format=auto/photos/dandelion.jpg">
"""
READ = """async () => {
    const wrong = [];
    if (!crossOriginIsolated) wrong.push('the page is not isolated');
    for (const image of document.images) {
        try {
            await image.decode();
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 8;
            const pen = canvas.getContext('2d');
            pen.drawImage(image, 0, 0, 8, 8);
            if (image.crossOrigin !== null) pen.getImageData(0, 0, 8, 8);
        } catch (error) { wrong.push(`${image.src}: ${error}`); }
    }
    return wrong;
}"""


class Safelight(contenders.Safelight):
    def __init__(self, binary, scratch, zone, settings=""):
        self.of_zone = zone
        super().__init__(binary, scratch, scratch, settings + '[cache.disk]\npath = ""\n')

    def zone_settings(self):
        return f'[zone]\norigin = "{self.of_zone}"\noriginals = "all"\n'


class Visit:
    """A browser without anything in its cache, and what it was told."""

    def __init__(self, chromium):
        self.context = chromium.new_context(viewport={"width": 1280, "height": 1100})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.wrong = []
        self.pictures = {}
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _failed(self, request):
        # A browser breaks off the transfer of a film when it seeks.
        if request.resource_type != "media":
            self.wrong.append(f"{request.url}: {request.failure}")

    def _answered(self, response):
        if response.status >= 400:
            self.wrong.append(f"{response.url}: {response.status}")

    def open(self, base, path, ran):
        answers = []
        remember = lambda request: answers.append(request) if request.resource_type == "image" else None
        self.page.on("requestfinished", remember)
        self.page.goto(base + path)
        self.page.wait_for_function("wanted => document.documentElement.dataset.ran === wanted", arg=ran)
        seen = self.page.evaluate(LOOK)
        self.page.wait_for_load_state("networkidle")
        self.page.remove_listener("requestfinished", remember)
        self.wrong += [f"{path}: {wrong}" for wrong in seen["wrong"]]
        for request in answers:
            # What is shown again comes from the browser's cache, without a byte.
            path, size = request.url.removeprefix(base), request.sizes()["responseBodySize"]
            if size > self.pictures.get(path, (0, ""))[0]:
                self.pictures[path] = (size, request.response().headers.get("content-type", ""))
        return seen["images"]

    def close(self):
        self.context.close()


def visit(browser, server, name, folder):
    """Visits all pages, and returns the bytes and types of pictures by their paths, and what is wrong."""
    base = f"http://127.0.0.1:{server.port}"
    visitor = Visit(browser)
    for path, ran in PAGES.items():
        visitor.open(base, path, ran)
        visitor.page.screenshot(path=folder / f"{name}{path.replace('/', '-').removesuffix('.html')}.png", full_page=True)
    visitor.close()
    return visitor.pictures, [f"{name}: {wrong}" for wrong in visitor.wrong]


def embed(browser, server, folder):
    """Shows pictures on a page of another host that must not embed what does not allow it."""
    page = EMBEDDING.format(base=f"http://127.0.0.1:{server.port}")
    headers = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
    embedding = origin.Origin(folder, {"/": page}, headers)
    visitor = Visit(browser)
    visitor.page.goto(f"http://localhost:{embedding.port}/")
    wrong = visitor.page.evaluate(READ) + visitor.wrong
    visitor.page.screenshot(path=folder / "embedding.png")
    visitor.close()
    embedding.stop()
    return [f"embedding: {one}" for one in wrong]


def report(name, plain, flows):
    """One line about the bytes of all pictures, and one about those whose size no query changes."""
    for what, paths in (("all pictures", plain), ("those without `width`", [path for path in plain if "width=" not in path])):
        before, after = (sum(pictures.get(path, (0, ""))[0] for path in paths) for pictures in (plain, flows))
        print(f"{name:8} {what:22} {len(paths):3} pictures  {before:9} bytes  with flows {after:9} bytes  {100 - 100 * after / before:5.1f} % saved")
    kinds = sorted({kind for _, kind in flows.values()})
    print(f"{name:8} types with flows: {', '.join(kinds)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--axe", type=pathlib.Path, required=True)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    folder, binary = given.folder.resolve(), given.safelight.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    processes.keep_logs(folder)
    files = folder / "site"
    mirror.make(files, folder)
    wrong = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch, contextlib.ExitStack() as stack:
        scratch = pathlib.Path(scratch)
        server, bucket = origin.Origin(files), SeaweedFS(scratch)
        stack.callback(server.stop)
        stack.callback(bucket.stop)
        for file in sorted(files.rglob("*")):
            if file.is_file():
                bucket.put(str(file.relative_to(files)), file.read_bytes(), origin.media_type(file.name))
        zones = {
            "folder": (f"file:{files}", ""),
            "server": (f"http://127.0.0.1:{server.port}", ""),
            "bucket": ("bucket:shared", BUCKET.format(port=bucket.port)),
        }
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        stack.callback(browser.close)
        for name, (zone, settings) in zones.items():
            seen = {}
            for with_flows in (False, True):
                safelight = Safelight(binary, scratch, zone, settings + (FLOW if with_flows else ""))
                stack.callback(safelight.stop)
                title = f"{name}-flows" if with_flows else name
                seen[with_flows], faults = visit(browser, safelight, title, folder)
                wrong += faults
            report(name, seen[False], seen[True])
            wrong += embed(browser, safelight, folder)
        wrong += gallery.visit_gallery(browser, binary, folder, scratch)
        kinds = scratch / "kinds"
        jxl.make(kinds, mirror.PHOTOS / "dogs.jpg")
        safelight = Safelight(binary, scratch, f"file:{kinds}")
        stack.callback(safelight.stop)
        wrong += playground.visit_playground(browser, binary, folder, scratch, given.axe.read_text())
        wrong += jxl.show(Visit(browser), f"http://127.0.0.1:{safelight.port}", folder)
    for one in wrong:
        print(f"WRONG: {one}")
    print(f"screenshots: {folder}/*.png")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
