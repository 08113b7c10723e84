"""What an agent does when it is told to stop in the middle of a build or a pull, and when its disk is full."""

import contextlib
import http.server
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import jobs
import pytest
from ground import Ground, docker_missing
from needs import required

from lanza_server import wait_until

TARGETS = ("process", "docker")
# The contract's limit beyond the grace.
BEYOND_SECONDS = 10
BUILDS = 4


@pytest.fixture(scope="module")
def docker_reason():
    return docker_missing()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, docker_reason):
    targets = ["process"] if docker_reason else list(TARGETS)
    with contextlib.closing(Ground(tmp_path_factory.mktemp("trouble") / "ground", targets, 4)) as made:
        root = made.folder / "jobs"
        jobs.plain(root)
        # Names of their own, and so environments that nobody has built.
        for n in range(BUILDS):
            jobs.slow_to_build(root, f"slow{n}-{random.randrange(1 << 32):08x}", 25)
        jobs.make_all(root, made.user.name, made.project, made.environment)
        made.slow = sorted(f.name for f in root.glob("slow*"))
        yield made


@pytest.fixture
def ground(shared, target, docker_reason):
    if target == "docker" and docker_reason:
        assert not required("docker")
        pytest.skip(docker_reason)
    if shared.agent is None or shared.agent.popen.poll() is not None:
        shared.start_agent()
    yield shared
    shared.user.stop_everything()


def identity(ground: Ground) -> dict:
    return json.loads((ground.state / "agent.json").read_text())


def own_programs(ground: Ground) -> list[str]:
    """Programs that the agent runs for itself: git, pip, docker and what they have started."""
    mark = f"LANZA_AGENT_STATE={identity(ground)['state']}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def build_containers(ground: Ground) -> list[str]:
    if "docker" not in ground.targets:
        return []
    command = ["docker", "ps", "-a", "-q", "--filter", f"label=lanza.agent={identity(ground)['agent']}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def no_half_build(ground: Ground, ended: bool = True) -> None:
    """Nothing of a build runs; when its item has ended, nothing of it lies about either."""

    def left() -> list:
        # The agent tidies up right after the server has heard of the end.
        folders = [a for a in (ground.state / "attempts").iterdir() if ended and (a / "build").exists()]
        return [*own_programs(ground), *build_containers(ground), *folders]

    try:
        wait_until("the end of what the build left", lambda: not left(), 10)
    except AssertionError:
        raise AssertionError(left()) from None


def in_phase(ground: Ground, item: str, phase: str) -> None:
    wait_until(f"phase {phase}", lambda: ground.user.item(item)["phase"] == phase, 60)


@pytest.mark.parametrize("target", TARGETS)
def test_an_item_that_is_stopped_while_its_build_runs_leaves_nothing(ground, target):
    item = ground.push(target, ground.slow[TARGETS.index(target)])
    in_phase(ground, item, "build")
    wait_until("the build's programs", lambda: own_programs(ground), 60)
    time.sleep(2)
    begun = time.monotonic()
    ground.user.rest.post(f"/items/{item}/stop", {"grace_seconds": 2})
    found = ground.user.ended(item, 60)
    assert time.monotonic() - begun < 2 + BEYOND_SECONDS
    assert (found["state"], found["phase"]) == ("stopped", "build"), found["reason"]
    no_half_build(ground)
    ground.nothing_left()
    assert not ground.witness(item), "it never ran"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["term", "interrupts"])
@pytest.mark.parametrize("target", TARGETS)
def test_an_agent_that_is_told_to_end_while_a_build_runs(ground, target, how):
    item = ground.push(target, ground.slow[2 + TARGETS.index(target)])
    in_phase(ground, item, "build")
    wait_until("the build's programs", lambda: own_programs(ground), 60)
    time.sleep(1)
    begun = time.monotonic()
    ground.agent.popen.send_signal(how)
    if how == signal.SIGINT:
        # The first one drains, the second one stops what there is.
        time.sleep(1)
        assert ground.agent.popen.poll() is None, "an interrupt waits for the items"
        ground.agent.popen.send_signal(how)
    ground.agent.popen.wait(60)
    assert time.monotonic() - begun < BEYOND_SECONDS + 1
    # What the next agent will take up may lie in the attempt's folder.
    no_half_build(ground, ended=how == signal.SIGINT)
    if how == signal.SIGINT:
        assert ground.user.ended(item, 5)["state"] == "stopped"
    else:
        assert ground.user.item(item)["state"] == "running", "the next agent goes on with it"
        ground.start_agent()
        ground.user.rest.post(f"/items/{item}/stop", {"grace_seconds": 1})
        assert ground.user.ended(item, 30)["state"] == "stopped"
        no_half_build(ground)


class Hanging(http.server.BaseHTTPRequestHandler):
    """A registry that says that it is one, and never gives out an image."""

    asked = threading.Event()

    def do_GET(self):
        if "/manifests/" in self.path:
            self.asked.set()
            time.sleep(120)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("target", ["docker"])
def test_an_item_that_is_stopped_while_its_image_is_pulled(ground, target):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hanging) as registry:
        registry.daemon_threads = True
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        body = {"docker": {"docker_image": f"localhost:{registry.server_port}/never:1"}, "project": ground.project}
        path = f"/api/v1/entities/{ground.user.name}/queues/docker/items"
        item = ground.user.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]
        assert Hanging.asked.wait(60), "nobody asked the registry"
        begun = time.monotonic()
        ground.user.rest.post(f"/items/{item}/stop", {"grace_seconds": 2})
        found = ground.user.ended(item, 60)
        assert time.monotonic() - begun < 2 + BEYOND_SECONDS
        assert (found["state"], found["phase"]) == ("stopped", "pull"), found["reason"]
        no_half_build(ground)
        registry.shutdown()


@pytest.fixture
def small_disk(tmp_path, docker_reason):
    """A ground whose state folder is a file system of 24 MiB."""
    with contextlib.closing(Ground(tmp_path / "ground", ["process"], 4)) as made:
        made.state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(made.state)]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("this user may not mount a file system")
        try:
            root = made.folder / "jobs"
            jobs.plain(root)
            jobs.make_all(root, made.user.name, made.project, made.environment)
            made.start_agent()
            yield made
        finally:
            made.close()
            subprocess.run(["umount", "-l", str(made.state)], check=True)


def fill(folder: Path) -> Path:
    """Writes until there is no byte left."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


def test_what_runs_while_the_disk_is_full_ends_with_its_exit_code_and_what_comes_waits(small_disk):
    ground = small_disk
    first = ground.push("process", "plain", "--seconds", 3, "--code", 7, "--early")
    second = ground.push("process", "plain", "--seconds", 300, "--early")
    for item in (first, second):
        ground.wait_for(item, "ready")
    # Their output is on the disk by then.
    wait_until("the logs", lambda: all(ground.log(item) for item in (first, second)), 30)
    ballast = fill(ground.state)
    found = ground.user.ended(first, 60)
    # Its own output fails as well, which Python ends with another code.
    ended = ground.witness(first, "end")
    assert found["state"] == "failed" and found["exit_code"] == (7 if ended else 1), found["reason"]
    assert found["attempt"] == 1

    begun = time.monotonic()
    ground.user.rest.post(f"/items/{second}/stop", {"grace_seconds": 2})
    found = ground.user.ended(second, 60)
    assert found["state"] == "stopped" or found["exit_code"] == 1, found["reason"]
    assert time.monotonic() - begun < 2 + BEYOND_SECONDS
    assert not ground.processes()[1:], "what was stopped on a full disk lives"

    third = ground.push("process", "plain", "--seconds", 1)
    time.sleep(3)
    assert ground.agent.popen.poll() is None, "the agent does not outlive a full disk"
    text = ground.agent.text()
    assert text.count("the item goes back") <= 2, "it claims in a circle"
    os.unlink(ballast)
    found = ground.user.ended(third, 90)
    assert found["state"] == "finished" or found["reason"]["code"] == "no_space", found["reason"]
    fourth = ground.push("process", "plain", "--seconds", 1)
    assert ground.user.ended(fourth, 90)["state"] == "finished"
    ground.nothing_left()
