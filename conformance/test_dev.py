"""`lanza dev`: its queues, a job of each target through them, and that a signal stops what runs."""

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lanza_server import Process, Rest, binary, wait_until

BASE = "python:3.11-slim"
# It would run for an hour, and says which process it is.
SCRIPT = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
print("up", flush=True)
time.sleep(3600)
"""


class Dev:
    """`lanza dev` on a folder of its own, and the command line as the exports that it prints would set it."""

    def __init__(self, folder: Path, environment: dict, *options):
        own = {name: value for name, value in environment.items() if not name.startswith(("WANDB_", "LANZA_"))}
        log = folder / f"dev-{len(list(folder.glob('dev-*.log')))}.log"
        command = [binary(), "dev", "--listen", "127.0.0.1:0", "--data", folder / "data", *options]
        self.process = Process(command, log, own)
        self.process.wait_for(r"^export WANDB_DISABLE_JOB_CREATION=false$")
        exports = dict(re.findall(r"^export (\w+)=(.*)$", self.process.text(), re.M))
        self.environment = {**own, **exports}
        self.rest = Rest(exports["WANDB_BASE_URL"].replace("localhost", "127.0.0.1"), exports["WANDB_API_KEY"])

    def call(self, *words) -> str:
        done = subprocess.run([binary(), *map(str, words)], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def targets(self) -> dict:
        return {q["name"]: q["target"] for q in self.rest.items("/entities/dev/queues")}

    def running(self, item: str) -> bool:
        found = self.rest.get(f"/items/{item}")["item"]
        assert found["state"] in ("queued", "leased", "running"), found
        return found["phase"] == "run" and "up" in self.rest.text(f"/items/{item}/logs")


@pytest.fixture
def dev(environment, tmp_path):
    started = []

    def start(*options) -> Dev:
        started.append(Dev(tmp_path, environment, *options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def process_job(dev: Dev, tmp_path: Path) -> tuple[str, int]:
    """Launches the script on the queue of processes; returns the item and the process."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "job.py").write_text(SCRIPT)
    mark = tmp_path / "pid"
    dev.call("job", "create", "code", folder, "-E", f"python job.py {mark}", "-p", "p", "-n", "waits")
    item = dev.call("launch", "-q", "default", "-j", "waits", "-p", "p").split()[0]
    wait_until("the job", lambda: dev.running(item), 120)
    return item, int(mark.read_text())


def stopped(dev, item: str) -> None:
    """What was stopped is known as such to the next start on the same folder."""
    again = dev("--agents", "0", "--target", "process")
    found = again.rest.get(f"/items/{item}")["item"]
    assert found["state"] == "stopped", found
    assert again.process.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_job_that_runs_before_the_end(dev, tmp_path, number):
    one = dev("--target", "process")
    assert one.targets() == {"default": "process"}
    item, pid = process_job(one, tmp_path)
    assert alive(pid)
    one.process.popen.send_signal(number)
    assert one.process.popen.wait(60) == 0, one.process.text()[-3000:]
    assert not alive(pid)
    stopped(dev, item)


def test_with_docker_there_are_two_queues_and_both_jobs_end_with_it(dev, docker, tmp_path):
    one = dev("--target", "both", "--agents", "2")
    wait_until("the queue for containers", lambda: "docker" in one.targets(), 20)
    assert one.targets() == {"default": "process", "docker": "docker"}
    item, pid = process_job(one, tmp_path)
    one.call("job", "create", "image", BASE, "-p", "p", "-n", "image")
    entry = ["python", "-uc", "print('up'); import time; time.sleep(3600)"]
    body = {"job": "dev/p/image:latest", "project": "p", "overrides": {"entry_point": entry}}
    other = one.rest.post("/entities/dev/queues/docker/items", body)["item"]["id"]
    wait_until("the container's job", lambda: one.running(other), 120)

    def containers() -> list[str]:
        listed = [docker, "ps", "-aq", "--filter", f"label=lanza.item={other}"]
        return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()

    (container,) = containers()
    seen = json.loads(subprocess.run([docker, "inspect", container], capture_output=True, text=True).stdout)[0]
    assert seen["State"]["Running"] is True
    one.process.popen.send_signal(signal.SIGTERM)
    assert one.process.popen.wait(60) == 0, one.process.text()[-3000:]
    assert not alive(pid)
    left = containers()
    assert not left, subprocess.run([docker, "inspect", *left], capture_output=True, text=True).stdout
    for each in (item, other):
        stopped(dev, each)
