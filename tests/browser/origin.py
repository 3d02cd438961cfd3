"""A web server of the site's files: with index pages, validators and ranges, and any headers on top."""

import http.server
import mimetypes
import re
import sys
import threading
import urllib.parse

TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".webp": "image/webp", ".ttf": "font/ttf"}


def media_type(name):
    suffix = "." + name.rsplit(".", 1)[-1]
    return TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


class Origin(http.server.ThreadingHTTPServer):
    """Serves until it is stopped. `pages` are texts by path, beside the files of `folder`."""

    daemon_threads = True

    def __init__(self, folder, pages=None, headers=None):
        self.folder, self.pages, self.more = folder, pages or {}, headers or {}
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        name = urllib.parse.unquote(path).lstrip("/")
        if path in self.server.pages:
            return self.reply(200, self.server.pages[path].encode(), {"Content-Type": "text/html; charset=utf-8"})
        file = self.server.folder / name
        if file.is_dir():
            file = file / "index.html"
        if not file.is_file() or ".." in name:
            return self.reply(404, b"not here", {})
        body = file.read_bytes()
        etag = f'"{file.stat().st_mtime_ns:x}-{len(body):x}"'
        headers = {"Content-Type": media_type(file.name), "ETag": etag, "Accept-Ranges": "bytes"}
        if self.headers["If-None-Match"] == etag:
            return self.reply(304, b"", headers)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if asked and self.headers["If-Range"] in (None, etag):
            first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
            if first > last:
                return self.reply(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return self.reply(206, body[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{len(body)}"})
        return self.reply(200, body, headers)

    do_HEAD = do_GET

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, **self.server.more, "Content-Length": len(body)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except ConnectionError:
                pass

    def log_message(self, *_):
        pass
