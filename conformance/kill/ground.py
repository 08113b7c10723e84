"""A server and an agent that can be killed at any instant and come back on the same folders and the same port."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

from conftest import client_environment
from lanza_server import ADMIN_TOKEN, Account, Process, Server, binary, wait_until
from needs import required


def docker_missing() -> str | None:
    """Why there is no Docker here; an error when Docker is required."""
    command = shutil.which("docker")
    missing = None
    if command is None:
        missing = "there is no `docker` command"
    elif subprocess.run([command, "info"], capture_output=True).returncode != 0:
        missing = "no Docker engine answers"
    assert missing is None or not required("docker"), f"LANZA_REQUIRE names docker, but {missing}"
    return missing


class MortalServer(Server):
    """A server that is killed rather than stopped."""

    def __init__(self, folder: Path, exist_ok: bool = False):
        folder.mkdir(parents=True, exist_ok=exist_ok)
        self.folder = folder
        self.port = 0
        self.lives = 0
        self.start()
        self.admin = self.rest(ADMIN_TOKEN)

    def start(self) -> None:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANZA_ADMIN_TOKEN": ADMIN_TOKEN}
        arguments = [binary(), "server", "--listen", f"127.0.0.1:{self.port}", "--data", self.folder / "data"]
        self.lives += 1
        self.process = Process(arguments, self.folder / f"server-{self.lives:03d}.log", env)
        self.port = int(self.process.wait_for(r"listening on http://[\w.]+:(\d+)", 30).group(1))
        self.url = f"http://localhost:{self.port}"

    def kill(self) -> None:
        kill(self.process)


def kill(process: Process) -> None:
    """SIGKILL to the process alone: whatever it has started must cope."""
    process.popen.send_signal(signal.SIGKILL)
    process.popen.wait()


class Ground:
    """Server, user, agent, and the witness. The user's queues `process` and `docker` tell jobs where the witness is."""

    def __init__(self, folder: Path, targets: list[str], slots: int = 12):
        self.folder = folder
        self.slots = slots
        self.targets = targets
        self.project = "kill"
        self.server = MortalServer(folder / "server")
        self.user: Account = self.server.user("ada")
        home = folder / "home"
        home.mkdir()
        self.environment = {**os.environ, **client_environment(self.user, home)}
        for name in [n for n in self.environment if n.startswith("LANZA_")]:
            del self.environment[name]
        # Of short life, and the agent's argument is part of each of its processes: a mark to look for at the end.
        self.state = folder / f"state-{secrets.token_hex(4)}"
        self.agent_options: list = []
        self.agent_lives = 0
        self.agent: Process | None = None
        # Containers may run as another user.
        shared = folder / "witness"
        shared.mkdir()
        shared.chmod(0o777)
        self.witness_file = shared / "events.jsonl"
        self.witness_file.touch()
        self.witness_file.chmod(0o666)
        for target in targets:
            config = {"env": {"KILL_WITNESS": str(self.witness_file)}}
            if target == "docker":
                config["volume"] = [f"{shared}:{shared}"]
            self.user.queue(target, target, config=config)

    def start_agent(self) -> None:
        self.agent_lives += 1
        arguments = [binary(), "agent", "-e", self.user.name, "-j", self.slots, "--state", self.state]
        arguments += self.agent_options
        for target in self.targets:
            arguments += ["-q", target]
        log = self.folder / f"agent-{self.agent_lives:03d}.log"
        self.agent = Process(arguments, log, self.environment, self.folder)

    def kill_agent(self) -> None:
        kill(self.agent)

    def close(self) -> None:
        """Ends everything, whatever became of the test."""
        if self.agent is not None and self.agent.popen.poll() is None:
            self.agent.popen.kill()
            self.agent.popen.wait()
        if self.server.process.popen.poll() is None:
            self.server.process.popen.kill()
            self.server.process.popen.wait()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for container in self.containers():
            subprocess.run(["docker", "rm", "-f", container], capture_output=True)

    def push(self, target: str, job: str, *arguments: str) -> str:
        body = {
            "job": f"{self.user.name}/{self.project}/{job}:latest",
            "project": self.project,
            "overrides": {"args": [str(a) for a in arguments]},
        }
        return self.push_body(target, body)

    def push_image(self, image: str, command: list, *arguments: str) -> str:
        overrides = {"entry_point": command, "args": [str(a) for a in arguments]}
        return self.push_body(
            "docker", {"docker": {"docker_image": image}, "project": self.project, "overrides": overrides}
        )

    def push_body(self, target: str, body: dict) -> str:
        path = f"/api/v1/entities/{self.user.name}/queues/{target}/items"
        return self.user.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]

    def witness(self, item: str | None = None, event: str | None = None) -> list[dict]:
        """What happened, in the order in which it was written."""
        lines = [json.loads(line) for line in self.witness_file.read_text().splitlines()]
        return [x for x in lines if item in (None, x["item"]) and event in (None, x["event"])]

    def wait_for(self, item: str, event: str, timeout: float = 90.0) -> dict:
        def look():
            found = self.witness(item, event)
            return found[0] if found else None

        try:
            return wait_until(f"`{event}` of {item}", look, timeout, pause=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.agent.text()[-3000:]}") from None

    def log(self, item: str, phase: str = "run") -> bytes:
        path = f"/api/v1/items/{item}/logs"
        return self.user.rest.call("GET", path, params={"phase": phase}).content

    def processes(self) -> list[int]:
        """Processes that belong to a job of this test, in a container or not, and supervisors of ours."""
        marks = (f"KILL_WITNESS={self.witness_file}".encode(), str(self.state).encode())
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                environ = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            agent = self.agent is not None and int(folder.name) == self.agent.popen.pid
            if not agent and (marks[0] in environ.split(b"\0") or marks[1] in command):
                found.append(int(folder.name))
        return found

    def containers(self) -> list[str]:
        """Containers that mount the witness, running or not."""
        if "docker" not in self.targets:
            return []
        shared = self.witness_file.parent
        done = subprocess.run(
            ["docker", "ps", "-a", "-q", "--no-trunc", "--filter", f"volume={shared}"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def nothing_left(self, timeout: float = 15.0) -> None:
        left = []

        def look():
            left[:] = [(pid, command_of(pid)) for pid in self.processes()] + self.containers()
            return not left

        try:
            wait_until("the last process and container to go", look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {left}") from None

    def logs_are_sane(self) -> None:
        """No life of server or agent panicked."""
        for file in [*self.server.folder.glob("server-*.log"), *self.folder.glob("agent-*.log")]:
            bad = [line for line in file.read_text(errors="replace").splitlines() if "panicked" in line]
            assert not bad, (file.name, bad)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class Journals:
    """Where each attempt stands, by the agent's own journal: exact at the instant of a kill, whoever was killed."""

    def __init__(self, state: Path):
        self.attempts = state / "attempts"
        self.known: dict[str, tuple[int, str, str | None]] = {}
        self.closed: set[str] = set()

    def phases(self) -> Counter:
        """Counts the attempts by target and phase."""
        found = Counter()
        try:
            names = os.listdir(self.attempts)
        except FileNotFoundError:
            return found
        for name in names:
            if name in self.closed:
                continue
            path = f"{self.attempts}/{name}/journal.jsonl"
            try:
                size = os.stat(path).st_size
                if self.known.get(name, (None,))[0] != size:
                    self.known[name] = (size, *self._read(name, path))
            except FileNotFoundError:
                continue
            _, target, phase = self.known[name]
            if phase is not None:
                found[target, phase] += 1
        return found

    def _read(self, name: str, path: str) -> tuple[str, str | None]:
        target, phase = "", None
        for line in Path(path).read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                break
            kind = entry["entry"]
            if kind == "leased":
                target = entry["lease"]["target"]
            elif kind == "phase" and entry["phase"]["ended_at"] is None:
                phase = entry["phase"]["name"]
            elif kind == "ended":
                phase = "upload"
            elif kind in ("reported", "forgotten"):
                self.closed.add(name)
                return target, None
        return target, phase
