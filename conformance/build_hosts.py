"""What builds talk to: a package index that counts its requests, and a registry with TLS and a password."""

import base64
import hashlib
import io
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from git_server import _run


def wheel(name: str, version: str, size: int = 0) -> tuple[str, bytes]:
    """A wheel with one module that knows its version, and `size` bytes that do not compress."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if size:
        block = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(256))
        files[f"{name}.bin"] = (block * (size // len(block) + 1))[:size]
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for path, data in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return f"{name}-{version}-py3-none-any.whl", out.getvalue()


def broken_source(name: str, version: str) -> tuple[str, bytes]:
    """A source release whose build fails as one without a compiler does. It needs nothing from an index."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": "def build_wheel(*a, **k):\n    raise SystemExit('error: command gcc failed: no compiler')\n",
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", out.getvalue()


def python_release(folder: Path, version: str) -> str:
    """Packs this Python as a release that `uv` can install, and returns the address of the list that names it."""
    minor = version.rsplit(".", 1)[0]
    archive = folder / "python.tar.gz"
    left_out = {"test", "site-packages", "dist-packages", "idlelib", "__pycache__"}

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if left_out & set(entry.name.split("/")) else entry

    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(os.path.realpath(sys.executable), f"python/bin/python{minor}")
        packed.add(sysconfig.get_path("stdlib"), f"python/lib/python{minor}", filter=wanted)
    major, middle, patch = map(int, version.split("."))
    release = {
        "name": "cpython", "arch": {"family": platform.machine(), "variant": None}, "os": "linux", "libc": "gnu",
        "major": major, "minor": middle, "patch": patch, "prerelease": "", "variant": None, "build": "20260101",
        "url": archive.as_uri(), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }  # fmt: skip
    listed = folder / "releases.json"
    listed.write_text(json.dumps({f"cpython-{version}-linux-{platform.machine()}-gnu": release}))
    return str(listed)


class Index:
    """A simple package index. `requests` are the paths asked for; it does not answer as long as `hang` is set.

    With `max_age` it allows clients to remember its pages for so many seconds, as big indexes do.
    """

    def __init__(self, address: str = "127.0.0.1", max_age: int | None = None):
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.hang = False
        self._closed = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                index.requests.append(self.path)
                begun = time.monotonic()
                while index.hang and not index._closed.is_set() and time.monotonic() - begun < 120:
                    index._closed.wait(0.1)
                if index._closed.is_set() or index.hang:
                    return
                parts = self.path.strip("/").split("/")
                body = None
                if parts[0] == "simple" and len(parts) == 2:
                    there = [n for n in index.files if n.lower().startswith(parts[1].replace("-", "_") + "-")]
                    if there:
                        body = "".join(f'<a href="/files/{n}">{n}</a>\n' for n in there).encode()
                elif parts[0] == "files":
                    body = index.files.get(parts[-1])
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html" if parts[0] == "simple" else "application/octet-stream")
                self.send_header("Content-Length", str(len(body or b"")))
                if max_age is not None:
                    self.send_header("Cache-Control", f"max-age={max_age}, public")
                self.end_headers()
                if self.command == "GET" and body:
                    self.wfile.write(body)

        self._http = ThreadingHTTPServer((address, 0), Handler)
        self._http.daemon_threads = True
        self.host, self.port = address, self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def add(self, made: tuple[str, bytes]) -> None:
        self.files[made[0]] = made[1]

    def downloads(self, name: str) -> int:
        """Counts how often files of a package were downloaded whole."""
        return len([path for path in self.requests if path.startswith(f"/files/{name}-")])

    def options(self) -> str:
        """Lines of a requirements file that name this index."""
        return f"--index-url http://{self.host}:{self.port}/simple\n--trusted-host {self.host}\n"

    def close(self) -> None:
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def bridge_address(docker: str) -> str:
    """The address of this machine that containers reach."""
    command = [docker, "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "172.17.0.1"


class PlainRegistry:
    """Debian's `docker-registry` on plain http, which Docker speaks with the loopback. It writes down every request."""

    def __init__(self, folder: Path, address: str, port: int, more_http: str = "", more: str = ""):
        folder.mkdir(parents=True, exist_ok=True)
        self.place, self.folder = f"{address}:{port}", folder
        (folder / "config.yml").write_text(
            "version: 0.1\nlog: {level: info, formatter: text}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
            f"http:\n  addr: {self.place}\n{more_http}{more}"
        )
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            ["docker-registry", "serve", folder / "config.yml"], stdout=self._log, stderr=subprocess.STDOUT
        )
        from lanza_server import wait_until

        wait_until("the registry", lambda: "listening on" in self.log(), 30)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def requests(self, method: str, path: str) -> int:
        """Counts the requests; the access log has one line for each."""
        return len(re.findall(rf'"{method} /v2/\S*{path}\S* HTTP', self.log()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


class Registry(PlainRegistry):
    """One with TLS and a password on the bridge, where Docker checks certificates.

    Its certificate is signed by a CA of its own, or by nobody but itself.
    """

    def __init__(
        self, folder: Path, address: str, port: int, user: str, password: str, self_signed: bool = False, auth: str = ""
    ):
        folder.mkdir(parents=True, exist_ok=True)
        name = ("-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}")
        made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        if self_signed:
            _run(*made, *name, "-keyout", folder / "key.pem", "-out", folder / "server.crt")
            shutil.copy(folder / "server.crt", folder / "ca.crt")
        else:
            _run(*made, "-subj", "/CN=Test CA", "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
            _run(
                *made, *name, "-addext", "basicConstraints=critical,CA:FALSE", "-CA", folder / "ca.crt", "-CAkey",
                folder / "ca.key", "-keyout", folder / "key.pem", "-out", folder / "server.crt",
            )  # fmt: skip
        digest = _run("perl", "-e", 'print crypt($ARGV[0], q($2b$05$).("a" x 21).".")', password)
        (folder / "htpasswd").write_text(f"{user}:{digest}\n")
        self._trust = Path("/etc/docker/certs.d") / f"{address}:{port}"
        self._trust.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "ca.crt", self._trust / "ca.crt")
        super().__init__(
            folder, address, port, f"  tls: {{certificate: {folder}/server.crt, key: {folder}/key.pem}}\n",
            auth or f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n",
        )  # fmt: skip

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._trust, ignore_errors=True)


class Gate:
    """A way to a registry that can be slow and can break. What goes through it stays unread, for it is encrypted.

    `rate` is how many bytes a second a connection passes in each direction, none for as many as come; `passed` counts
    them all.
    """

    def __init__(self, registry: Registry):
        self._to = registry.place.split(":")
        self.rate: int | None = None
        self.passed = 0
        self._open = True
        self._ends: set[socket.socket] = set()
        self._listener = socket.socket()
        # What the system holds for a slow reader would count as passed.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self._listener.bind((self._to[0], 0))
        self._listener.listen()
        self.place = f"{self._to[0]}:{self._listener.getsockname()[1]}"
        self._trust = Path("/etc/docker/certs.d") / self.place
        self._trust.mkdir(parents=True, exist_ok=True)
        shutil.copy(registry.folder / "ca.crt", self._trust / "ca.crt")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                here.close()
                continue
            there = socket.create_connection((self._to[0], int(self._to[1])))
            self._ends |= {here, there}
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(16 << 10):
                if self.rate:
                    time.sleep(len(data) / self.rate)
                target.sendall(data)
                self.passed += len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Breaks all connections, and takes no new ones."""
        self._open = False
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        """Lets everything through, at once."""
        self.rate, self._open = None, True

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self._trust, ignore_errors=True)


class Tokens:
    """A token server as big registries have one: the registry sends who asks to it, and takes what it signs.

    `asked` are the scopes asked for, each with the user who was let in, or none.
    """

    def __init__(self, folder: Path, address: str, user: str, password: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.asked = folder, []
        _run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens",
            "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        )  # fmt: skip
        known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
                let_in = self.headers.get("Authorization") == known
                tokens.asked.append((" ".join(scopes), user if let_in else None))
                answer = {"token": tokens._sign(user, scopes)} if let_in else {"details": "who are you?"}
                body = json.dumps(answer).encode()
                self.send_response(200 if let_in else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._http = ThreadingHTTPServer((address, 0), Handler)
        self._http.daemon_threads = True
        realm = f"http://{address}:{self._http.server_address[1]}/token"
        trust = f"issuer: tokens, rootcertbundle: {folder}/cert.pem"
        self.auth = f"auth: {{token: {{realm: '{realm}', service: registry, {trust}}}}}\n"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def _sign(self, user: str, scopes: list) -> str:
        def part(data: bytes) -> bytes:
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        pem = (self.folder / "cert.pem").read_text()
        certificate = "".join(line for line in pem.splitlines() if not line.startswith("-"))
        access = []
        for kind, name, actions in (scope.split(":", 2) for scope in " ".join(scopes).split()):
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        claims = {
            "iss": "tokens", "sub": user, "aud": "registry", "exp": now + 300, "nbf": now - 60, "iat": now,
            "jti": f"{now}-{len(self.asked)}", "access": access,
        }  # fmt: skip
        signed = part(json.dumps(head).encode()) + b"." + part(json.dumps(claims).encode())
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.folder / "key.pem"],
            input=signed,
            capture_output=True,
            check=True,
        )
        return (signed + b"." + part(done.stdout)).decode()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
