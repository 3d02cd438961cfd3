"""A browser adds pictures to the gallery of `examples/cat-gallery`, on a phone and on a desktop, light and dark. Part of `make browser`; by itself:

    gallery.py SAFELIGHT --folder FOLDER [--chromium BINARY]

Needs Node. The screenshots are FOLDER/gallery-*.png.
"""

import argparse
import base64
import contextlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

from playwright.sync_api import TimeoutError as TooLate
from playwright.sync_api import sync_playwright

import mirror  # which finds the modules of the benchmarks
import contenders
import processes
from PIL import Image

EXAMPLE = mirror.ROOT / "examples/cat-gallery"
PATIENCE = 20_000  # milliseconds
TOKEN = "a-token-for-the-gallery"
# Size, pixels for each of CSS, whether fingers touch it, and colours.
SCREENS = {
    "phone-light": ((390, 844), 3, True, "light"),
    "phone-dark": ((390, 844), 3, True, "dark"),
    "desktop-light": ((1280, 800), 1, False, "light"),
    "desktop-dark": ((1280, 800), 1, False, "dark"),
}
WIDTHS = {"thumb": 320, "small": 800, "large": 2000}
SLOW = {"offline": False, "latency": 20, "downloadThroughput": 4_000_000, "uploadThroughput": 400_000}  # bytes in a second
FAST = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
# Remembers all that a policy forbade, from the first script on.
WATCH = """addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
window.shifts = 0;
new PerformanceObserver(list => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value; })
    .observe({ type: 'layout-shift', buffered: true });"""
# Drops files as a hand would.
DROP = """async files => {
    const carried = new DataTransfer();
    for (const [name, type, text] of files)
        carried.items.add(new File([Uint8Array.from(atob(text), letter => letter.charCodeAt(0))], name, { type }));
    const tell = kind => document.querySelector('main').dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
    tell('dragover');
    if (!document.body.classList.contains('dragging')) throw new Error('the page does not show where files can be dropped');
    tell('drop');
    if (document.body.classList.contains('dragging')) throw new Error('the page does not show that files were dropped');
}"""
# What of the pictures is in the window, decoded.
TILES = """() => [...document.querySelectorAll('#gallery li')].map(item => {
    const image = item.querySelector('img'), box = item.getBoundingClientRect();
    return { name: image.alt, variant: image.currentSrc.split('/').pop(), loaded: image.complete && image.naturalWidth > 0,
        lazy: image.loading, width: box.width, height: box.height, ratio: image.width && image.naturalWidth / image.naturalHeight,
        right: box.right, visible: box.top < innerHeight };
})"""


class Safelight(contenders.Safelight):
    """A server that keeps uploaded pictures in a folder."""

    def __init__(self, binary, scratch):
        self.kept = pathlib.Path(tempfile.mkdtemp(prefix="hosted-", dir=scratch))
        settings = f'[hosted]\nstore = "file:{self.kept}/store"\nindex = "{self.kept}/index"\n[[hosted.token]]\ntoken = "{TOKEN}"\nrights = "write"\n[cache.disk]\npath = ""\n'
        super().__init__(binary, scratch, scratch, settings)


class Gallery:
    """The server of the example, on a free port."""

    def __init__(self, safelight, node):
        variables = {**os.environ, "SAFELIGHT": f"http://127.0.0.1:{safelight.port}", "SAFELIGHT_TOKEN": TOKEN, "PORT": "0"}
        self.process = processes.start("gallery", [node, EXAMPLE / "server.mjs"], env=variables, stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise processes.failure("the gallery does not start", self.process.log)
        self.url = found[0]

    def stop(self):
        self.process.kill()
        self.process.wait()


class Visit:
    """A browser with one window, and all that is wrong in it."""

    def __init__(self, browser, gallery, screen):
        (width, height), self.density, touch, colors = SCREENS[screen]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=self.density, has_touch=touch, is_mobile=touch, color_scheme=colors
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.add_init_script(WATCH)
        self.wrong = []
        self.expected = []  # what the console may say once
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.network = self.context.new_cdp_session(self.page)
        self.network.send("Network.enable")
        self.page.goto(gallery.url)
        self.page.wait_for_load_state("networkidle")

    def _heard(self, message):
        if message.type not in ("error", "warning"):
            return
        for one in self.expected:
            if one in message.text:
                self.expected.remove(one)
                return
        self.wrong.append(f"console: {message.text}")

    def speed(self, conditions):
        self.network.send("Network.emulateNetworkConditions", conditions)

    def check(self, is_right, what):
        if not is_right:
            self.wrong.append(what)

    def wait(self, script, what, arg=None):
        try:
            self.page.wait_for_function(script, arg=arg)
        except TooLate:
            self.wrong.append(f"{what}: not within {PATIENCE // 1000} s")

    def tiles(self, count, what):
        """Waits until so many pictures are there, and those in the window are loaded, each in the right variant and shape."""
        self.wait(
            """count => { const all = [...document.querySelectorAll('#gallery li')];
            return all.length === count && all.every(item => item.getBoundingClientRect().top > innerHeight || item.querySelector('img.loaded')); }""",
            f"{what}: {count} pictures",
            count,
        )
        tiles = self.page.evaluate(TILES)
        for tile in tiles:
            name = f"{what}: {tile['name']}"
            self.check(tile["right"] <= self.page.viewport_size["width"], f"{name}: wider than the window")
            self.check(tile["lazy"] == "lazy", f"{name}: not lazy")
            if tile["visible"] and tile["loaded"]:
                needed = tile["width"] * self.density
                # A browser may take the next smaller one where that is nearly enough.
                fine = [kind for kind, width in WIDTHS.items() if width >= needed][:1] + [kind for kind, width in WIDTHS.items() if needed > width > needed * 0.6]
                self.check(tile["variant"] in fine, f"{name}: variant {tile['variant']} in place of {fine}")
                self.check(abs(tile["width"] / tile["height"] / tile["ratio"] - 1) < 0.05, f"{name}: {tile['width']:.0f} x {tile['height']:.0f}")
        return tiles

    def rows(self, count, what):
        self.wait("count => document.querySelectorAll('#uploads li').length === count", f"{what}: {count} uploads", count)

    def state_of(self, name):
        return self.page.locator("#uploads li", has_text=name).locator(".state").inner_text()

    def photograph(self, path):
        self.page.screenshot(path=path)


def make_files(folder):
    """Pictures that a phone would have, and files that are none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dogs.jpg", "mountains.jpg", "fig.png"):
        shutil.copy(mirror.PHOTOS / name, folder / name)
    Image.open(mirror.PHOTOS / "dandelion.jpg").resize((2656, 1494)).save(folder / "dandelion.jpg", quality=90)
    (folder / "broken.jpg").write_bytes(random.Random(1).randbytes(40_000))
    whole = (folder / "dogs.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "notes.txt").write_text("no picture")
    return folder


def choose(visit, names, files):
    visit.page.set_input_files("#choose", [files / name for name in names])


def drop(visit, files, given):
    carried = [(name, kind, base64.b64encode((files / name).read_bytes()).decode()) for name, kind in given]
    visit.page.evaluate(DROP, carried)


def post(url, name, files):
    """The status of an upload without the browser."""
    edge = "an-edge"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = head.encode() + (files / name).read_bytes() + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(url, body, {"Content-Type": f"multipart/form-data; boundary={edge}"})
    with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as answer:
        return answer.status


def add_by_choice(visit, files, folder, screen):
    """A slow line: progress is seen, and the picture appears without another visit of the page."""
    visit.speed(SLOW)
    choose(visit, ["dandelion.jpg"], files)
    visit.wait("() => { const one = document.querySelector('#uploads progress'); return one && one.value > 0.3 && one.value < 1; }", "progress")
    visit.check(re.fullmatch(r"\d+ %", visit.state_of("dandelion.jpg")), "progress is not told in words")
    visit.photograph(folder / f"gallery-{screen}-upload.png")
    visit.speed(FAST)
    visit.rows(0, "by choice")
    visit.tiles(1, "by choice")


def add_by_drop(visit, files):
    """Two at once, of which the order does not matter."""
    drop(visit, files, [("dogs.jpg", "image/jpeg"), ("fig.png", "image/png")])
    visit.rows(0, "by drop")
    visit.tiles(3, "by drop")


def refuse(visit, files, folder, screen):
    """What is no picture is told at once or by the server, and is not in the gallery."""
    answer = "Failed to load resource: the server responded with a status of 4"
    visit.expected += [answer, answer]
    drop(visit, files, [("notes.txt", "text/plain"), ("broken.jpg", "image/jpeg"), ("cut.jpg", "image/jpeg")])
    visit.wait("() => document.querySelectorAll('#uploads .failed').length === 3", "refusals")
    for name, text in {"notes.txt": "This is not a picture.", "broken.jpg": "This is not a picture that can be shown here.", "cut.jpg": "This picture is damaged."}.items():
        said = visit.state_of(name)
        visit.check(said == text, f"{name}: {said!r} in place of {text!r}")
    visit.check(visit.page.get_by_role("button", name="Try again").count() == 0, "another try is offered where it cannot help")
    visit.photograph(folder / f"gallery-{screen}-refused.png")
    for _ in range(3):
        visit.page.get_by_role("button", name="Dismiss").first.click()
    # A file that is too large is never sent.
    visit.page.evaluate("""() => { const carried = new DataTransfer(); carried.items.add(new File([new Uint8Array(21 * 1024 * 1024)], 'huge.jpg', { type: 'image/jpeg' }));
        document.querySelector('main').dispatchEvent(new DragEvent('drop', { dataTransfer: carried, bubbles: true, cancelable: true })); }""")
    said = visit.state_of("huge.jpg")
    visit.check(said == "This picture is too large: it has 21 MB, and 20 MB are allowed.", f"huge.jpg: {said!r}")
    visit.page.get_by_role("button", name="Dismiss").click()
    visit.rows(0, "dismissed")


def lose_the_line(visit, files):
    """The line is lost before a picture arrived, then after it did and before its answer came. Another try is one click away, and makes no second picture."""
    arrived = []

    def arrive(route):
        arrived.append(post(route.request.url, "mountains.jpg", files))
        route.abort()

    visit.expected += ["net::ERR_FAILED", "net::ERR_FAILED", "status of 409"]
    tries = [lambda route: route.abort(), arrive]
    visit.page.route("**/upload/**", lambda route: tries.pop(0)(route) if tries else route.continue_())
    choose(visit, ["mountains.jpg"], files)
    again = visit.page.get_by_role("button", name="Try again")
    for what in ("before it arrived", "before its answer"):
        again.wait_for()
        said = visit.state_of("mountains.jpg")
        visit.check(said == "The connection was lost.", f"the line was lost {what}: {said!r}")
        again.click()
    visit.rows(0, "another try")
    visit.tiles(4, "another try")
    visit.check(arrived == [200] and not visit.expected, f"tries: {arrived}, not told: {visit.expected}")
    visit.page.unroute("**/upload/**")


def look_closer(visit, folder, screen):
    """The large view, by keyboard alone."""
    page = visit.page
    page.locator("#gallery button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#lightbox[open] figure img.loaded")
    variant = page.evaluate("document.querySelector('#lightbox figure img').currentSrc.split('/').pop()")
    visit.check(variant == "large", f"the large view shows variant {variant}")
    caption = page.locator("#caption")
    visit.check("1 of 4" in caption.inner_text(), f"caption {caption.inner_text()!r}")
    page.wait_for_timeout(500)
    visit.photograph(folder / f"gallery-{screen}-large.png")
    for key, text in (("ArrowRight", "2 of 4"), ("ArrowRight", "3 of 4"), ("ArrowLeft", "2 of 4"), ("ArrowLeft", "1 of 4"), ("ArrowLeft", "1 of 4")):
        page.keyboard.press(key)
        visit.check(text in caption.inner_text(), f"{key}: caption {caption.inner_text()!r} in place of {text}")
    page.wait_for_selector("#lightbox figure img.loaded")
    page.keyboard.press("Escape")
    visit.check(page.locator("#lightbox[open]").count() == 0, "Esc does not close the large view")
    visit.check(page.evaluate("document.activeElement === document.querySelector('#gallery button')"), "the focus is not where it was")


def reload(visit, folder, screen):
    """All is there, in the places that it had, and nothing jumps while pictures arrive. Until then there are blurred copies."""
    page = visit.page
    held = []
    page.route("**/cdn-cgi/imagedelivery/**", lambda route: held.append(route))
    page.reload()
    visit.wait("() => document.querySelectorAll('#gallery canvas').length === 4", "blurred copies")
    painted = page.evaluate("""() => [...document.querySelectorAll('#gallery canvas')].every(canvas =>
        new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size > 8)""")
    visit.check(painted, "a blurred copy is empty")
    visit.photograph(folder / f"gallery-{screen}-blurred.png")
    before = [(tile["width"], tile["height"]) for tile in page.evaluate(TILES)]
    for route in held:
        route.continue_()
    after = [(tile["width"], tile["height"]) for tile in visit.tiles(4, "another visit")]
    page.unroute("**/cdn-cgi/imagedelivery/**")
    visit.check(before == after, f"sizes change from {before} to {after}")
    page.wait_for_timeout(500)
    shifts = page.evaluate("window.shifts")
    visit.check(shifts < 0.02, f"what is shown jumps: {shifts}")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    visit.check(overflow <= 0, f"the page is {overflow} pixels wider than the window")
    visit.photograph(folder / f"gallery-{screen}.png")


def see_the_focus(visit, folder, screen):
    """Every control is reached by Tab, and shows that it was."""
    page = visit.page
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    visit.check(page.evaluate("document.activeElement.id") == "choose", "Tab does not reach the choice of files first")
    outline = page.evaluate("getComputedStyle(document.activeElement.closest('.button')).outlineStyle")
    visit.check(outline == "solid", "the focus cannot be seen")
    visit.photograph(folder / f"gallery-{screen}-focus.png")


def visit_gallery(browser, binary, folder, scratch):
    """Uses the gallery on every screen, and returns what is wrong."""
    node = shutil.which("node")
    if node is None:
        print("gallery: skipped, as there is no node")
        return []
    files = make_files(folder / "gallery")
    wrong = []
    for screen in SCREENS:
        with contextlib.ExitStack() as stack:
            safelight = Safelight(binary, scratch)
            stack.callback(safelight.stop)
            gallery = Gallery(safelight, node)
            stack.callback(gallery.stop)
            visit = Visit(browser, gallery, screen)
            stack.callback(visit.context.close)
            visit.check(visit.page.get_by_text("No cats yet").is_visible(), "an empty gallery does not say so")
            visit.check(visit.page.locator("#take").is_visible() == screen.startswith("phone"), "the camera is for phones")
            visit.photograph(folder / f"gallery-{screen}-empty.png")
            try:
                add_by_choice(visit, files, folder, screen)
                add_by_drop(visit, files)
                refuse(visit, files, folder, screen)
                lose_the_line(visit, files)
                look_closer(visit, folder, screen)
                reload(visit, folder, screen)
                see_the_focus(visit, folder, screen)
            except Exception as error:  # the rest of what is wrong is told as well
                visit.photograph(folder / f"gallery-{screen}-wrong.png")
                visit.wrong.append(f"{type(error).__name__}: {error}")
            wrong += [f"gallery {screen}: {one}" for one in visit.wrong]
    print(f"gallery  {len(SCREENS)} screens: {', '.join(SCREENS)}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    processes.keep_logs(folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        wrong = visit_gallery(browser, given.safelight.resolve(), folder, pathlib.Path(scratch))
        browser.close()
    for one in wrong:
        print(f"WRONG: {one}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
