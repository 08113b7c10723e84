"""What breaks while an image is pulled, pushed or built, and what is left of it: a registry that goes, a full disk."""

import subprocess
import time

import pytest

from build_hosts import Gate
from lanza_server import wait_until
from second_engine import second_engine
from test_builds import config, good, log, phases, push
from test_image_builds import BASE, PASSWORD, USER, bridge, image_id, registry, tagged

# Fixtures of the other files are arguments here.
# ruff: noqa: F401, F811

# Docker itself asks a registry that went away five times, in 50 s.
PATIENCE_SECONDS = 240
SLOW = 1 << 20


@pytest.fixture
def gate(registry):
    opened = Gate(registry)
    yield opened
    opened.close()


@pytest.fixture
def login(environment, tmp_path) -> str:
    """A Docker config without plug-ins; returns its folder."""
    folder = tmp_path / "docker"
    folder.mkdir()
    environment["DOCKER_CONFIG"] = str(folder)
    return str(folder)


def credentials(gate) -> dict:
    return {"registry": {"credentials": {gate.place: {"username": USER, "password": PASSWORD}}}}


def big_image(docker, name, login) -> None:
    """Puts an image with a layer of 24 MiB into a registry, and takes it from the engine."""
    box = f"lanza-test-big-{time.time_ns()}"

    def call(*words, **options):
        subprocess.run([docker, *words], check=True, capture_output=True, text=True, **options)

    call("run", "--name", box, BASE, "sh", "-c", "head -c 24M /dev/urandom > /big")
    try:
        call("commit", "-c", 'CMD ["sh", "-c", "wc -c /big"]', box, name)
    finally:
        call("rm", "-f", box)
    call("--config", login, "login", "-u", USER, "--password-stdin", name.split("/")[0], input=PASSWORD)
    call("--config", login, "push", name)
    call("--config", login, "logout", name.split("/")[0])
    call("rmi", "-f", name)


def passing(gate, size) -> None:
    """Waits until so many more bytes went through the gate."""
    before = gate.passed
    wait_until(f"{size} bytes through the gate", lambda: gate.passed - before > size, 120)


def test_a_pull_is_read_while_it_goes_on_and_nothing_is_left_of_one_that_breaks_off(
    account, project, agent, docker, gate, login, config
):
    account.queue(project, "docker")
    agent(project, options=config(lanza=credentials(gate)))
    name = f"{gate.place}/team/big:{time.time_ns()}"
    big_image(docker, name, login)

    def launch() -> str:
        body = {"docker": {"docker_image": name}, "project": project}
        path = f"/api/v1/entities/{account.name}/queues/{project}/items"
        return account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]

    gate.rate = SLOW
    item = launch()
    wait_until("a line of the pull", lambda: "Pulling fs layer" in log(account, item, "pull"), 60)
    passing(gate, 4 << 20)
    found = account.item(item)
    assert found["ended_at"] is None and found["phase"] == "pull", "that was while it went on"
    gate.cut()
    ended = account.ended(item, PATIENCE_SECONDS)
    assert (ended["state"], ended["reason"]["code"]) == ("failed", "image_missing"), ended["reason"]
    assert name in ended["reason"]["message"] and ended["phase"] == "pull"
    assert not image_id(docker, name), "half an image is none"

    gate.mend()
    again = good(account, launch())
    assert f"{24 << 20} /big" in log(account, again["id"])


def test_a_registry_that_dies_in_the_middle_of_a_push_has_no_image_and_the_next_try_only_pushes(
    account, project, agent, push, docker, registry, gate, login, config
):
    account.queue(project, "docker")
    destination = f"{gate.place}/team/halfway"
    agent(project, options=config(builder={"destination": destination}, lanza=credentials(gate)))
    files = {
        "Dockerfile.wandb": f"FROM {BASE}\nRUN : {time.time_ns()} && head -c 24M /dev/urandom > /big\nCOPY . /\n",
        "job.py": "import os\nprint('big', os.path.getsize('/big'))\n",
    }
    item = push(files, ("python", "/job.py"))
    wait_until("the build", lambda: account.item(item)["phase"] in ("build", "push"), 120)
    gate.rate = SLOW
    wait_until("a line of the push", lambda: "The push refers to" in log(account, item, "push"), 120)
    passing(gate, 4 << 20)
    assert account.item(item)["ended_at"] is None, "that was while it went on"
    gate.cut()
    ended = account.ended(item, PATIENCE_SECONDS)
    assert (ended["state"], ended["reason"]["code"]) == ("failed", "push_failed"), ended["reason"]
    assert destination in ended["reason"]["message"] and ended["phase"] == "push"
    assert registry.requests("PUT", "team/halfway/manifests/") == 0, "half an image has no name there"

    gate.mend()
    second = good(account, push(files, ("python", "/job.py")))
    assert [p for p in phases(second) if p in ("build", "push", "pull")] == ["push"]
    assert f"big {24 << 20}" in log(account, second["id"])
    key = second["environment"]["digest"]
    assert registry.requests("PUT", f"team/halfway/manifests/{key}") == 1
    assert tagged(docker, key) == [f"{destination}:{key}"]


def test_a_disk_that_is_full_in_the_middle_of_a_build_is_said_and_given_back(
    account, project, agent, push, docker, bridge, login, environment, tmp_path_factory
):
    account.queue(project, "docker")
    with second_engine(docker, bridge, BASE, tmp_path_factory.mktemp("small"), disk="700m") as host:
        there = {**environment, "DOCKER_HOST": host}

        def call(*words) -> list:
            done = subprocess.run([docker, *words], env=there, capture_output=True, text=True, check=True)
            return done.stdout.split()

        running = agent(project, env=there)
        before = call("images", "-aq")

        def files(size: str) -> dict:
            write = f"RUN : {time.time_ns()} && head -c {size} /dev/zero > /big"
            return {"Dockerfile.wandb": f"FROM {BASE}\n{write}\nCOPY job.py /\n", "job.py": "print('fits')\n"}

        ended = account.ended(push(files("2000M"), ("python", "/job.py")), 240)
        build = log(account, ended["id"], "build")
        assert (ended["state"], ended["reason"]["code"]) == ("failed", "no_space"), (ended["reason"], build)
        assert ended["environment"] is None and ended["reason"]["help"].startswith("LZ")
        wait_until("the build's containers to go", lambda: not call("ps", "-aq"), 60)
        assert call("images", "-aq") == before, "neither a name nor a part of what was not finished"
        # More than was left while the other one lay there.
        fits = good(account, push(files("200M"), ("python", "/job.py")))
        assert "fits" in log(account, fits["id"])
        assert running.stop(12) == 0
