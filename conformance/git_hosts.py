"""Git hosts with log-ins on loopback: HTTPS or plain HTTP with a password, and SSH with a key.

The HTTP one is Python's server in front of git's own `http-backend`, the SSH one is OpenSSH's `sshd` with `git-shell`.
"""

import base64
import os
import re
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from git_server import _run, _TlsServer

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}


def repository(folder: Path, name: str) -> dict[str, str]:
    """Makes `name`.git with branches, a tag and commits that no reference reaches, and returns the ids.

    The default branch is `trunk`. `job.py` prints `rev.txt`, which tells the commits apart.
    """
    work, bare = folder / f"work-{name}", folder / f"{name}.git"
    work.mkdir(parents=True)
    environment = {**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*arguments) -> str:
        return _run("git", "-C", work, *arguments, env=environment).strip()

    def commit(text: str) -> str:
        (work / "rev.txt").write_text(text + "\n")
        git("add", ".")
        git("commit", "-q", "-m", text)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "trunk")
    script = 'import os\nprint("rev", open("rev.txt").read().strip(), os.environ.get("WANDB_GIT_COMMIT"))\n'
    (work / "job.py").write_text(script)
    (work / "deep" / "er").mkdir(parents=True)
    (work / "deep" / "er" / "job.py").write_text('import os\nprint("deep in", os.path.basename(os.getcwd()))\n')
    made = {"first": commit("first")}
    git("tag", "-a", "v1.0", "-m", "v1.0")
    made["middle"] = commit("middle")
    made["trunk"] = commit("trunk")
    git("checkout", "-q", "-b", "feature/x", "trunk~1")
    made["feature"] = commit("feature")
    git("checkout", "-q", "-b", "gone", "trunk")
    made["gone"] = commit("gone")
    git("checkout", "-q", "trunk")
    _run("git", "clone", "-q", "--bare", work, bare)
    _run("git", "-C", bare, "branch", "-q", "-D", "gone")
    _run("git", "-C", bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
    return made


class HttpHost:
    """Serves `<folder>/*.git`, read only. `requests` are the paths asked for; `cut` answers break off in the middle."""

    def __init__(self, folder: Path, login: tuple[str, str] | None = None, plain: bool = False):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.requests: list[str] = []
        self.cut = 0
        self.protocol_v2 = True
        wanted = None if login is None else "Basic " + base64.b64encode(":".join(login).encode()).decode()
        server = ThreadingHTTPServer if plain else _TlsServer
        self._http = server(("127.0.0.1", 0), _handler(self, wanted))
        self.environment: dict[str, str] = {}
        if not plain:
            certificate, key = folder / "certificate.pem", folder / "key.pem"
            _run(
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
            )  # fmt: skip
            self.environment["GIT_SSL_CAINFO"] = str(certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.place = f"localhost:{self._http.server_address[1]}"
        self.url = f"{'http' if plain else 'https'}://{self.place}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(host: HttpHost, wanted: str | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self._answer(b"")

        def do_POST(self):
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return self._answer(body)

        def _answer(self, body: bytes):
            host.requests.append(self.path)
            if wanted is not None and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(host.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if host.protocol_v2 else "",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            out = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True).stdout
            head, _, rest = out.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in lines if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in lines:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if host.cut > 0 and self.command == "POST" and b"PACK" in rest:
                host.cut -= 1
                self.wfile.write(rest[: len(rest) // 2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(rest)

    return Handler


class SshHost:
    """`sshd` on a free port for the user of this process. It takes one key, and git commands only."""

    def __init__(self, folder: Path):
        self.folder = folder
        repositories = folder / "repositories"
        repositories.mkdir(parents=True)
        self.repositories = repositories
        for name in ("host_key", "client_key", "other_key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", folder / name)
        self.key, self.other_key = folder / "client_key", folder / "other_key"
        only = folder / "git-only"
        only.write_text(
            f'#!/bin/sh\ncd "{repositories}" && exec git-shell -c '
            '"$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s#\'/*#\'#")"\n'
        )
        only.chmod(0o700)
        public = (folder / "client_key.pub").read_text()
        (folder / "authorized_keys").write_text(f'restrict,command="{only}" {public}')
        Path("/run/sshd").mkdir(exist_ok=True)
        probe = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.port = probe.server_address[1]
        probe.server_close()
        self.known_hosts = folder / "known_hosts"
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host_key\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\nAcceptEnv GIT_PROTOCOL\n"
        )
        self._log = folder / "log"
        self._sshd = subprocess.Popen([sshd(), "-D", "-f", folder / "sshd_config", "-E", self._log])
        from lanza_server import wait_until

        wait_until("sshd", lambda: self._log.exists() and re.search("listening on", self._log.read_text()), 20)
        self.url = f"ssh://{_run('id', '-un').strip()}@127.0.0.1:{self.port}"

    def close(self) -> None:
        self._sshd.terminate()
        self._sshd.wait()


def sshd() -> str | None:
    return shutil.which("sshd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
