"""An origin with sources of every kind of fault. The first part of a path says which."""

import http.server
import threading
import time

SLOW = 0.4  # seconds


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Connections that are killed at the other end are what this is about."""


class Origin:
    def __init__(self, photos):
        files = sorted(photos.glob("*.jpg"))
        self.pictures = [file.read_bytes() for file in files]
        self.is_down = False
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                origin.answer(self)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        if self.is_down:
            # As if it were not there.
            request.close_connection = True
            return
        kind, _, name = request.path.strip("/").partition("/")
        number = int("".join(letter for letter in name if letter.isdigit()) or 0)
        body, status = self.pictures[number % len(self.pictures)], 200
        tag = f'"{kind}-{number}"'
        if kind == "slow":
            time.sleep(SLOW)
        if kind == "fail":
            body, status = b"an error", 500
        elif kind == "gone":
            body, status = b"nothing", 404
        elif kind == "junk":
            body = b"<p>This is no picture.</p>" * 100
        elif request.headers.get("if-none-match") == tag:
            body, status = b"", 304
        request.send_response(status)
        request.send_header("cache-control", "max-age=30")
        request.send_header("cache-tag", "even" if number % 2 == 0 else "odd")
        request.send_header("etag", tag)
        if status != 304:
            request.send_header("content-length", str(len(body)))
        request.end_headers()
        if kind == "broken":
            body = body[: len(body) // 2]
            request.close_connection = True
        try:
            request.wfile.write(body)
        except OSError:
            request.close_connection = True

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
