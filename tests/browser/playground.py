"""A browser uses the playground of the admin listener, on a phone and on a desktop, light and dark. Part of `make browser`; by itself:

    playground.py SAFELIGHT --folder FOLDER --axe FILE [--chromium BINARY]

FILE is axe.min.js of the package axe-core, which looks for what people with disabilities could not use. The screenshots are FOLDER/playground-*.png.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request

from playwright.sync_api import sync_playwright

import mirror  # which finds the modules of the benchmarks
import contenders
import processes

PATIENCE = 90_000  # milliseconds: what is made here is made by a build for tests
TOKEN = "a-token-for-the-playground"
# Size, pixels for each of CSS, and colours.
SCREENS = {
    "phone-light": ((390, 844), 2, "light"),
    "phone-dark": ((390, 844), 2, "dark"),
    "desktop-light": ((1440, 900), 1, "light"),
    "desktop-dark": ((1440, 900), 1, "dark"),
}
WATCH = "addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));"
SNIPPETS = ["a URL", "<img srcset sizes>", "<picture>", "a loader for next/image", "Nuxt Image", "unpic", "a flow"]
CLIENTS = {"JPEG XL, AVIF, WebP": "image/jxl", "AVIF, WebP": "image/avif", "WebP": "image/webp", "JPEG, PNG, GIF": "image/jpeg"}


class Safelight(contenders.Safelight):
    def __init__(self, binary, scratch):
        super().__init__(binary, scratch, scratch, '[cache.disk]\npath = ""\n')

    def zone_settings(self):
        # Behind the section of the admin listener, and before that of the zone.
        return f'[zone]\norigin = "file:{mirror.PHOTOS}"\n'


class Playground:
    def __init__(self, browser, server, screen, axe):
        (width, height), ratio, colors = SCREENS[screen]
        self.context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=ratio, color_scheme=colors)
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.server, self.screen, self.axe, self.wrong = server, screen, axe, []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))

    def _said(self, message):
        # Without the token, and where a source is missing or foreign, the server has to refuse; where it is busy, the page asks again.
        expected = re.search(r"status of (401|403|404|503)", message.text)
        if message.type in ("error", "warning") and not expected:
            self.wrong.append(f"console: {message.text}")

    def must(self, is_so, what):
        if not is_so:
            self.wrong.append(what)

    def settled(self):
        """Waits until all four kinds of clients have their answers."""
        self.page.wait_for_function("() => document.querySelectorAll('#clients tr').length === 4 && !document.getElementById('shown').textContent.startsWith('making')")

    def changed(self, act):
        """Does something, and waits for the answers to it."""
        with self.page.expect_response(lambda answer: "/check" in answer.url):
            act()
        self.settled()

    def rows(self):
        rows = self.page.evaluate("() => [...document.querySelectorAll('#clients tr')].map(row => [...row.cells].map(cell => cell.textContent))")
        return {row[0]: row[1:] for row in rows}

    def check_access(self, when):
        """What axe finds: contrast, names, roles, order."""
        found = self.page.evaluate(f"async () => {{ {self.axe}; return (await axe.run()).violations.map(one => `${{one.id}}: ${{one.nodes.map(node => node.html).join(' | ')}}`); }}")
        self.wrong += [f"axe {when}: {one}" for one in found]

    def visit(self, folder):
        page = self.page
        page.goto(f"http://127.0.0.1:{self.server.admin}/")
        page.wait_for_selector("#unlock:not([hidden])")
        self.check_access("locked")
        page.fill("#token", TOKEN)
        self.changed_by_unlock()
        page.click("#browse summary")
        page.wait_for_selector("#entries button")
        self.changed(lambda: page.click("#entries button:has-text('dogs.jpg')"))
        self.check_answers()
        self.check_access("with a picture")
        page.screenshot(path=folder / f"playground-{self.screen}.png", full_page=True)
        self.check_options()
        self.check_snippets()
        self.check_split()
        self.check_failures()
        width = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        self.must(width <= 0, f"the page is {width} pixels too wide")
        self.context.close()
        return [f"playground, {self.screen}: {one}" for one in self.wrong]

    def changed_by_unlock(self):
        self.page.press("#token", "Enter")
        self.page.wait_for_selector("#controls .option", state="attached")
        self.must(self.page.is_hidden("#unlock"), "the form for the token stays")

    def check_answers(self):
        rows = self.rows()
        for client, media_type in CLIENTS.items():
            answer = rows.get(client, [""])
            # Where there is no memory for JPEG XL, AVIF takes its place.
            fallback = "image/avif" if media_type == "image/jxl" else media_type
            self.must(answer[0] in (media_type, fallback), f"{client}: {answer}")
            self.must(int(answer[1].replace(",", "") or 0) > 1000, f"{client}: {answer}")
            self.must("made now" in answer[3] or "hit" in answer[3] or "several" in answer[3], f"{client}: {answer}")
        loaded = self.page.evaluate("() => ['before', 'after'].map(id => document.getElementById(id).naturalWidth)")
        self.must(all(loaded), f"pictures beside each other: {loaded}")
        report = self.page.inner_text("#report")
        for part in ("zone:/dogs.jpg", "zone.origin", "Accept", "format=auto,width=800"):
            self.must(part in report, f"no {part} in {report}")

    def check_options(self):
        """By keyboard alone: an option is found, set and cleared."""
        page = self.page
        page.focus("#find")
        page.keyboard.type("blur")
        shown = page.evaluate("() => [...document.querySelectorAll('.option:not([hidden]) label')].map(label => label.textContent)")
        self.must("blur" in shown and "width, w" not in shown, f"options found: {shown}")
        # Over the titles of groups to the control.
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("() => document.activeElement.id") == "option-blur":
                break
        self.changed(lambda: page.keyboard.type("20"))
        self.must("blur=20" in page.evaluate("() => decodeURIComponent(location.hash)"), "blur is not in the address of the page")
        page.fill("#find", "")
        page.click("#controls details:has(#option-fit) summary") if page.is_hidden("#option-fit") else None
        self.changed(lambda: page.select_option("#option-fit", "cover"))
        self.must("cover fit mode needs both" in page.inner_text("#warnings"), f"warnings: {page.inner_text('#warnings')}")
        page.reload()
        self.settled()
        self.must(page.input_value("#option-blur") == "20", "a reload forgets the options")

    def check_snippets(self):
        """Every address in what can be copied is answered by the public listener."""
        page = self.page
        page.fill("#site", f"http://127.0.0.1:{self.server.port}")
        for kind in SNIPPETS:
            page.select_option("#kind", kind)
            text = page.inner_text("#snippet")
            self.must("width" in text and len(text) > 40, f"{kind}: {text}")
            urls = re.findall(r"http://127\.0\.0\.1:\d+/cdn-cgi/image/[^\s\"`$,]+(?:,[^\s\"`$]+)?/dogs\.jpg", text)
            self.must(kind not in SNIPPETS[:3] or urls, f"{kind} has no URL: {text}")
            for url in urls[:2]:
                status = status_of(url)
                self.must(status == 200, f"{url}: {status}")

    def check_split(self):
        page = self.page
        page.focus("#split")
        before = page.evaluate("() => document.getElementById('after').style.clipPath")
        page.keyboard.press("ArrowRight")
        after = page.evaluate("() => document.getElementById('after').style.clipPath")
        self.must(before != after, f"the split stays at {before}")
        page.select_option("#zoom", "2")
        width, natural = page.evaluate("() => [document.getElementById('after').getBoundingClientRect().width * devicePixelRatio, document.getElementById('after').naturalWidth]")
        self.must(abs(width - 2 * natural) < 2, f"at 200 %, {natural} pixels are {width} wide")
        page.select_option("#zoom", "0")
        self.changed(lambda: page.select_option("#left", "lossless"))

    def check_failures(self):
        page = self.page
        self.changed(lambda: page.fill("#source", "/none.jpg"))
        self.must("9404" in page.inner_text("#empty"), f"a missing source: {page.inner_text('#empty')}")
        self.changed(lambda: page.fill("#source", "https://elsewhere.test/a.jpg"))
        report = page.inner_text("#report")
        self.must("sources.allowed" in report, f"a foreign source: {report}")


def status_of(url):
    """The status of an answer. A server that is busy is asked again."""
    for _ in range(20):
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE / 1000) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return error.code
        time.sleep(1)
    return 503


def visit_playground(browser, binary, folder, scratch, axe):
    """Visits it on every screen, and returns what is wrong."""
    wrong = []
    server = Server(binary, scratch)
    try:
        for screen in SCREENS:
            wrong += Playground(browser, server, screen, axe).visit(folder)
    finally:
        server.stop()
    return wrong


class Server(Safelight):
    """With a token, which comes from the environment as it should."""

    def __init__(self, binary, scratch):
        os.environ["SAFELIGHT__ADMIN__TOKEN"] = TOKEN
        try:
            super().__init__(binary, scratch)
        finally:
            del os.environ["SAFELIGHT__ADMIN__TOKEN"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--axe", type=pathlib.Path, required=True)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    processes.keep_logs(folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, contextlib.ExitStack() as stack:
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        stack.callback(browser.close)
        wrong = visit_playground(browser, given.safelight.resolve(), folder, pathlib.Path(scratch), given.axe.read_text())
    for one in wrong:
        print(f"WRONG: {one}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
