"""A small HTTPS git remote on loopback: Python's HTTP server in front of git's own `http-backend`.

The client takes only `https://`, `ssh://` and `user@host:path` remotes, so a plain folder will not do.
"""

import contextlib
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


class GitServer:
    """Serves the bare repositories of a folder, read only. `environment` makes git trust it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.repositories = folder / "repositories"
        self.repositories.mkdir(parents=True)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        _run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
        )  # fmt: skip
        self.environment = {"GIT_SSL_CAINFO": str(certificate), "GIT_TERMINAL_PROMPT": "0"}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._http = _TlsServer(("127.0.0.1", 0), _handler(self.repositories))
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"https://localhost:{self.port}/{name}.git"

    def repository(self, name: str, files: dict[str, str]) -> str:
        """Makes a bare repository with one commit on `main` and returns the commit id."""
        work = self.folder / f"work-{name}"
        work.mkdir()
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        git = ("git", "-C", work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        _run("git", "init", "-q", "-b", "main", work)
        _run(*git, "add", ".")
        _run(*git, "commit", "-q", "-m", "Add the job")
        _run("git", "clone", "-q", "--bare", work, self.repositories / f"{name}.git")
        return _run("git", "-C", work, "rev-parse", "HEAD").strip()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _TlsServer(ThreadingHTTPServer):
    def shutdown_request(self, request):
        # git takes an end without TLS's own goodbye for a broken connection. The client, and with it the TLS, may be gone already.
        with contextlib.suppress(OSError, ValueError):
            request.unwrap()
        super().shutdown_request(request)


def _run(*command, **options) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr}")
    return done.stdout


def _handler(repositories: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self._backend(b"")

        def do_POST(self):
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                self._backend(self._chunks())
            else:
                self._backend(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        def _backend(self, body: bytes):
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(repositories),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in lines if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in lines:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest)

    return Handler
