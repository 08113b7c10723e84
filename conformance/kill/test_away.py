"""What happens while the agent or the server is away is known in full when it is back; what is stopped is gone.

LANZA_KILL_AWAY is how long the server stays away, in seconds (20).
"""

import contextlib
import os
import subprocess
import time

import jobs
import judge
import pytest
from ground import Ground, docker_missing, required

from lanza_server import binary, wait_until

AWAY_SECONDS = float(os.environ.get("LANZA_KILL_AWAY", "20"))
TARGETS = ("process", "docker")


@pytest.fixture(scope="module")
def docker_reason():
    return docker_missing()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, docker_reason):
    targets = ["process"] if docker_reason else list(TARGETS)
    with contextlib.closing(Ground(tmp_path_factory.mktemp("away") / "ground", targets, 4)) as made:
        root = made.folder / "jobs"
        jobs.plain(root)
        jobs.make_all(root, made.user.name, made.project, made.environment)
        yield made


@pytest.fixture
def ground(shared, target, docker_reason):
    if target == "docker" and docker_reason:
        assert not required("docker")
        pytest.skip(docker_reason)
    if shared.agent is None or shared.agent.popen.poll() is not None:
        shared.start_agent()
    yield shared
    # What a failed test left must not disturb the next one.
    if shared.server.process.popen.poll() is not None:
        shared.server.start()
    shared.user.stop_everything()


def in_run(ground: Ground, item: str) -> None:
    """Waits until the server knows that the job runs."""
    wait_until("phase run", lambda: ground.user.item(item)["phase"] == "run", 30)


@pytest.mark.parametrize("target", TARGETS)
def test_a_job_that_ends_while_its_agent_is_down_is_reported_in_full(ground, target):
    item = ground.push(target, "plain", "--seconds", 3, "--megabytes", 2, "--code", 7)
    ground.wait_for(item, "ready")
    ground.kill_agent()
    end = ground.wait_for(item, "end", 30)
    time.sleep(1)
    assert ground.user.item(item)["state"] == "running", "nobody is there who could say otherwise"
    ground.start_agent()
    found = ground.user.ended(item, 30)
    assert (found["state"], found["exit_code"], found["phase"]) == ("failed", 7, "run"), found["reason"]
    assert found["reason"]["code"] == "exit_code" and "7" in found["reason"]["message"]
    assert found["attempt"] == 1
    judge.log_is_complete(ground, item, end)
    assert judge.ends_by_item(ground)[item] == ["failed"]
    ground.nothing_left()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("code", [0, 5])
def test_a_job_that_ends_while_the_server_is_away_is_reported_in_full(ground, target, code):
    item = ground.push(target, "plain", "--seconds", 3, "--megabytes", 2, "--early", "--code", code)
    ground.wait_for(item, "ready")
    in_run(ground, item)
    ground.server.kill()
    gone = time.monotonic()
    end = ground.wait_for(item, "end", 30)
    time.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
    ground.server.start()
    found = ground.user.ended(item, 30)
    assert found["state"] == ("failed" if code else "finished"), found["reason"]
    assert found["exit_code"] == code and found["attempt"] == 1
    judge.log_is_complete(ground, item, end)
    assert judge.ends_by_item(ground)[item] == [found["state"]]
    assert ground.agent.popen.poll() is None, "the agent outlives its server"
    ground.nothing_left()


@pytest.mark.parametrize("target", TARGETS)
def test_a_stubborn_job_and_its_daemon_are_gone_when_the_item_says_stopped(ground, target):
    item = ground.push(target, "plain", "--seconds", 300, "--stubborn")
    ground.wait_for(item, "daemon")
    in_run(ground, item)
    command = [binary(), "item", "stop", item, "--grace", "2s"]
    done = subprocess.run(command, env=ground.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = ground.user.ended(item, 20)
    assert not ground.processes(), "a stopped job is gone when the item says `stopped`"
    assert not ground.containers()
    assert found["state"] == "stopped" and found["exit_code"] is None
    assert judge.ends_by_item(ground)[item] == ["stopped"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_item_that_is_stopped_while_its_agent_is_down_is_stopped_by_the_next_one(ground, target):
    item = ground.push(target, "plain", "--seconds", 300, "--early")
    ground.wait_for(item, "ready")
    in_run(ground, item)
    ground.kill_agent()
    ground.user.rest.post(f"/items/{item}/stop", {"grace_seconds": 2})
    time.sleep(1)
    assert ground.processes(), "nobody is there who could stop it"
    ground.start_agent()
    found = ground.user.ended(item, 30)
    assert found["state"] == "stopped", found["reason"]
    assert not ground.processes() and not ground.containers()
    assert judge.ends_by_item(ground)[item] == ["stopped"]
