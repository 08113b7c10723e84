"""A Docker engine that is stopped, killed and restarted while jobs run.

The engine is one of the test's own, in a network namespace of its own, so that nobody else's containers are disturbed.
That takes root; elsewhere these stories are skipped.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ground import Ground, docker_missing

from needs import left_out
from lanza_server import wait_until

IMAGES = ("python:3.11-slim", "python:3.12-slim", "python:3.13-slim")
AWAY_SECONDS = 6
LINES = 150
SCRIPT = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 7"


class OwnEngine:
    """A `dockerd` that can be taken away."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.environment = {**os.environ, "DOCKER_HOST": self.host}
        self.popen = None

    def start(self, *options: str) -> None:
        command = ["unshare", "-n", "dockerd", "--host", self.host, "--bridge=none", "--iptables=false"]
        for name in ("data-root", "exec-root", "pidfile"):
            command += [f"--{name}", str(self.folder / name)]

        def launch() -> None:
            with (self.folder / "log").open("ab") as log:
                self.popen = subprocess.Popen([*command, *options], stdout=log, stderr=log, start_new_session=True)

        def answers() -> bool:
            # One that was killed leaves parts of itself behind, over which the next one may stumble, and the machine's
            # supervisor of services would start it again.
            if self.popen.poll() is not None:
                launch()
            return self.docker("info").returncode == 0

        launch()
        wait_until("the engine", answers, 120)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["docker", *arguments], env=self.environment, capture_output=True, text=True)

    def end(self, how: int = signal.SIGTERM) -> None:
        self.popen.send_signal(how)
        self.popen.wait(60)

    def containers(self) -> list[str]:
        return self.docker("ps", "-a", "-q").stdout.split()


def image() -> str:
    """An image that is here."""
    for name in IMAGES:
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0:
            return name
    left_out("docker", f"none of {', '.join(IMAGES)} is here")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    missing = docker_missing() or next((c for c in ("dockerd", "unshare") if shutil.which(c) is None), None)
    if missing or os.geteuid() != 0:
        left_out("docker", f"an engine of one's own takes root and `dockerd`: {missing or 'this is not root'}")
    name = image()
    # The path of a socket has to be short.
    folder = tmp_path_factory.mktemp("engine")
    engine = OwnEngine(folder)
    engine.start()
    engine.image = name
    try:
        saved = subprocess.Popen(["docker", "save", name], stdout=subprocess.PIPE)
        subprocess.run(["docker", "load"], env=engine.environment, stdin=saved.stdout, capture_output=True, check=True)
        assert saved.wait() == 0
        yield engine
    finally:
        for container in engine.containers():
            engine.docker("rm", "-f", container)
        engine.end()
        # What is mounted for the engine's own use.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(folder))), reverse=True):
            subprocess.run(["umount", "-l", mount])


@pytest.fixture(scope="module")
def ground(engine, tmp_path_factory):
    with contextlib.closing(Ground(tmp_path_factory.mktemp("ground") / "ground", [], 4)) as made:
        made.user.queue("docker", "docker", config={"pull": "never"})
        made.environment["DOCKER_HOST"] = engine.host
        made.targets = ["docker"]
        made.containers = engine.containers
        made.start_agent()
        yield made


def push(ground: Ground, image: str, script: str) -> str:
    body = {
        "docker": {"docker_image": image},
        "project": ground.project,
        "overrides": {"entry_point": ["sh", "-c", script]},
    }
    path = f"/api/v1/entities/{ground.user.name}/queues/docker/items"
    return ground.user.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]


@pytest.mark.parametrize("how", ["term", "kill", "live-restore"])
def test_an_engine_that_goes_and_comes_back(engine, ground, how):
    restore = ["--live-restore"] if how == "live-restore" else []
    if restore:
        engine.end()
        engine.start(*restore)
    item = push(ground, engine.image, SCRIPT)
    wait_until("phase run", lambda: ground.user.item(item)["phase"] == "run", 60)
    wait_until("the log", lambda: ground.log(item).count(b"\n") > 10, 60)
    engine.end(signal.SIGKILL if how == "kill" else signal.SIGTERM)
    waiting = push(ground, engine.image, "echo hello; exit 5")
    time.sleep(AWAY_SECONDS)
    assert ground.user.item(waiting)["state"] in ("queued", "leased", "running"), "it waits for the engine"
    engine.start(*restore)

    found = ground.user.ended(item, 90)
    lines = ground.log(item).decode().splitlines()
    assert lines == [f"line {n}" for n in range(len(lines))]
    assert found["state"] == "failed" and found["attempt"] == 1
    if restore:
        assert (found["exit_code"], found["reason"]["code"], len(lines)) == (7, "exit_code", LINES)
    else:
        assert found["reason"]["code"] == "target_unavailable", found["reason"]
        assert "engine" in found["reason"]["message"] and len(lines) > 10
    found = ground.user.ended(waiting, 90)
    assert (found["exit_code"], ground.log(waiting)) == (5, b"hello\n"), found["reason"]
    assert ground.agent.popen.poll() is None, "the agent outlives its engine"
    wait_until("the removal of the containers", lambda: not engine.containers(), 30)
    ground.logs_are_sane()


def marked(item: str) -> list[str]:
    """Processes of an item, in a container or not."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"LANZA_ITEM={item}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
    return found


def test_a_stop_does_not_wait_for_an_engine_that_hangs(engine, ground):
    """The container is processes of this machine, which the agent ends by itself; the engine's record goes later."""
    grace = 3
    item = push(ground, engine.image, "trap '' TERM; echo up; while :; do sleep 1; done")
    wait_until("the log", lambda: ground.log(item) == b"up\n", 60)
    wait_until("phase run", lambda: ground.user.item(item)["phase"] == "run", 60)
    engine.popen.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        ground.user.rest.post(f"/items/{item}/stop", {"grace_seconds": grace})
        found = ground.user.ended(item, 60)
        took = time.monotonic() - begun
        assert found["state"] == "stopped", found["reason"]
        assert grace <= took < grace + 10, f"{took:.1f} s"
        assert not marked(item), "the job lives"
        assert any("does not answer" in warning for warning in found["warnings"]), found["warnings"]
    finally:
        engine.popen.send_signal(signal.SIGCONT)
    wait_until("the removal of the container", lambda: not engine.containers(), 60)


def test_a_stop_does_not_wait_for_an_engine_that_is_down(engine, ground):
    """What was never started needs no engine to be stopped."""
    engine.end()
    try:
        item = push(ground, engine.image, "echo never")
        wait_until("the attempt", lambda: ground.user.item(item)["state"] == "running", 30)
        time.sleep(1)
        begun = time.monotonic()
        ground.user.rest.post(f"/items/{item}/stop", {"grace_seconds": 1})
        assert ground.user.ended(item, 60)["state"] == "stopped"
        assert time.monotonic() - begun < 11
    finally:
        engine.start()
    assert not engine.containers()
