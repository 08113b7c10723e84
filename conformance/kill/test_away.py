"""What happens while the agent or the server is away is known in full when it is back; what is stopped is gone.

LANZA_KILL_AWAY is how long the server stays away, in seconds (20).
"""

import contextlib
import json
import os
import signal
import subprocess
import time

import jobs
import judge
import pytest
from ground import Ground, docker_missing
from needs import required

from lanza_server import Process, binary, wait_until

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


def last_entry(state, item: str) -> str | None:
    """The last line of the journal that an agent has of an item; none where it has no journal."""
    entries = [json.loads(j.read_text().splitlines()[-1])["entry"] for j in journals(state, item)]
    return entries[-1] if entries else None


def journals(state, item: str) -> list:
    return sorted(state.glob(f"attempts/*{item}*/journal.jsonl"))


@pytest.fixture
def two_agents(ground, target, tmp_path):
    """A queue that takes an item from a silent agent soon, and two agents for it, of which one is to fall silent."""
    config = ground.user.rest.get(f"/entities/{ground.user.name}/queues/{target}")["queue"]["config"]
    policy = {"lost_after_seconds": 2, "retry": {"max": 1, "on": ["lost"], "backoff_seconds": 0}}
    queue = f"fence-{target}"
    ground.user.queue(queue, target, config=config, policy=policy)
    started: list[Process] = []

    def start() -> Process:
        number = len(started)
        command = [binary(), "agent", "-e", ground.user.name, "-q", queue, "--state", tmp_path / f"state-{number}"]
        started.append(Process(command, tmp_path / f"agent-{number}.log", ground.environment, tmp_path))
        return started[-1]

    yield queue, start
    for process in started:
        process.kill()


@pytest.mark.parametrize("target", TARGETS)
def test_a_frozen_agent_that_returns_finds_its_item_with_another(ground, target, two_agents, tmp_path):
    queue, start = two_agents
    first = start()
    # The first attempt would never end by itself, and needs no server; the second is short.
    script = "if [ $LANZA_ATTEMPT = 1 ]; then exec python work.py --early --seconds 600; fi; exec python work.py --early"
    body = {"job": f"{ground.user.name}/{ground.project}/plain:latest", "project": ground.project}
    body["overrides"] = {"entry_point": ["sh", "-c", script + " --seconds 1"]}
    path = f"/api/v1/entities/{ground.user.name}/queues/{queue}/items"
    item = ground.user.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]
    wait_until("the first attempt", lambda: ground.witness(item, "ready"), 60)
    in_run(ground, item)
    first.popen.send_signal(signal.SIGSTOP)
    try:
        second = start()
        found = ground.user.ended(item, 120)
        assert (found["state"], found["attempt"]) == ("finished", 2), (found["reason"], second.text()[-3000:])
        # Both have one machine, so whoever begins an attempt ends what is left of an earlier one, whose agent cannot.
        assert not ground.witness(item, "overlap"), "two attempts were alive together"
        assert {x["attempt"] for x in ground.witness(item, "end")} == {2}
    finally:
        first.popen.send_signal(signal.SIGCONT)
    ground.nothing_left(60)
    # It has heard by now that the item is another's, and reported nothing that changed it.
    wait_until("the word of the first agent", lambda: last_entry(tmp_path / "state-0", item) == "forgotten", 30)
    again = ground.user.item(item)
    assert (again["state"], again["exit_code"], again["attempt"]) == ("finished", 0, 2)
    assert [a["state"] for a in again["attempts"]] == ["lost", "finished"], again["attempts"]
    assert {x["attempt"] for x in ground.witness(item, "end")} == {2}, "the first attempt was ended, and did not end"
    assert judge.ends_by_item(ground)[item] == ["finished"]
    assert first.popen.poll() is None, "the agent goes on with other items"
