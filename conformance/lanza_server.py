"""Starts the binary under test as people start it, and talks to its native REST API."""

import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import requests

REPOSITORY = Path(__file__).resolve().parent.parent
ADMIN_TOKEN = "conformance-" + secrets.token_hex(16)


def binary() -> Path:
    path = Path(os.environ.get("LANZA_BIN", REPOSITORY / "target" / "debug" / "lanza"))
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run `cargo build -p lanza`, or set LANZA_BIN")
    return path


def wait_until(what: str, look: Callable, timeout: float = 60.0, pause: float = 0.1):
    """Returns the first true value of `look()`. On a time-out it names the value seen last."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s for {what}; last seen: {seen!r}")
        time.sleep(pause)


class Process:
    """A program in its own process group, with its output in a file."""

    def __init__(self, arguments: list, log: Path, env: dict, cwd: Path | None = None):
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [str(a) for a in arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, timeout: float = 60.0) -> re.Match:
        def look():
            match = re.search(pattern, self.text(), re.M)
            if match is None and self.popen.poll() is not None:
                raise AssertionError(f"ended with {self.popen.returncode} before {pattern!r}:\n{self.text()}")
            return match

        try:
            return wait_until(repr(pattern), look, timeout, pause=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None

    def stop(self, seconds: float = 25.0) -> int:
        """Asks to end with SIGTERM and returns the exit code. One that does not end in time is an error."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.popen.pid, signal.SIGKILL)
                self.popen.wait()
                raise AssertionError(f"did not end within {seconds} s of SIGTERM:\n{self.text()[-4000:]}") from None
        return self.popen.returncode

    def kill(self) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()


class Rest:
    """The native API as one caller. Answers are JSON; a refusal raises unless its status is expected."""

    def __init__(self, url: str, key: str | None):
        self.root = url
        self.session = requests.Session()
        # Nothing of the environment: no proxy, no netrc.
        self.session.trust_env = False
        if key is not None:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, expect: int | None = None, **options) -> requests.Response:
        answer = self.session.request(method, f"{self.root}{path}", timeout=60, **options)
        if expect is None:
            assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        else:
            assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def get(self, path: str, **options):
        return self.call("GET", "/api/v1" + path, **options).json()

    def text(self, path: str, **options) -> str:
        return self.call("GET", "/api/v1" + path, **options).text

    def post(self, path: str, body=None, **options):
        return self.call("POST", "/api/v1" + path, json={} if body is None else body, **options).json()

    def refused(self, method: str, path: str, status: int, **options) -> dict:
        """Makes a call that must be refused with `status`, and returns the error body after a look at its form."""
        body = self.call(method, "/api/v1" + path, expect=status, **options).json()
        assert re.fullmatch(r"[a-z][a-z0-9_]*", body["code"]), body
        assert body["message"] and body["request_id"], body
        return body

    def items(self, path: str, **params) -> list:
        """Reads a list to its end, page by page."""
        found, after = [], None
        while True:
            page = self.get(path, params={**params, **({"after": after} if after else {})})
            found += page["items"]
            after = page["next"]
            if after is None:
                return found

    def graphql(self, query: str, variables: dict | None = None, expect: int | None = None):
        body = {"query": query, "variables": variables or {}}
        return self.call("POST", "/graphql", expect=expect, json=body).json()


class Server:
    """`lanza server` on a port of its own choice, with its data in a temporary folder."""

    def __init__(self, folder: Path, options=(), port: int = 0, environment: dict | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANZA_ADMIN_TOKEN": ADMIN_TOKEN}
        env |= environment or {}
        listen = f"127.0.0.1:{port}"
        self.process = Process(
            [binary(), "server", "--listen", listen, "--data", folder / "data", *options], folder / "server.log", env
        )
        self.port = int(self.process.wait_for(r"listening on http://[\w.]+:(\d+)", 30).group(1))
        # Containers reach a server on the loopback device under this name only.
        self.url = f"http://localhost:{self.port}"
        self.admin = self.rest(ADMIN_TOKEN)

    def rest(self, key: str | None) -> Rest:
        return Rest(f"http://127.0.0.1:{self.port}", key)

    def user(self, name: str) -> "Account":
        made = self.admin.call("POST", "/api/v1/admin/users", expect=201, json={"username": name}).json()
        return Account(self, made["username"], made["api_key"])


class Account:
    """A user of the server, with a key. The personal entity has the user's name."""

    def __init__(self, server: Server, name: str, key: str):
        self.server = server
        self.name = name
        self.key = key
        self.rest = server.rest(key)

    def run(self, project: str, run: str, **options) -> dict:
        return self.rest.get(f"{self.run_path(project, run)}", **options)["run"]

    def run_path(self, project: str, run: str, tail: str = "") -> str:
        return f"/entities/{self.name}/projects/{project}/runs/{run}{tail}"

    def item(self, item: str) -> dict:
        return self.rest.get(f"/items/{item}")["item"]

    def ended(self, item: str, timeout: float = 120.0) -> dict:
        """Waits until the item has ended and returns it."""

        def look():
            found = self.item(item)
            return found if found["state"] in ("finished", "failed", "stopped") else None

        try:
            return wait_until(f"the end of item {item}", look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.item(item)}") from None

    def queue(self, name: str, target: str = "process", **fields) -> dict:
        return self.rest.post(f"/entities/{self.name}/queues", {"name": name, "target": target, **fields})["queue"]

    def stop_everything(self) -> None:
        """Stops the items that are with an agent and waits for their end."""
        for state in ("leased", "running"):
            for item in self.rest.items("/items", entity=self.name, state=state):
                self.rest.call("POST", f"/api/v1/items/{item['id']}/stop", json={"grace_seconds": 1})
                self.ended(item["id"], 30)
