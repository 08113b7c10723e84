"""Two agents on two machines: the fence holds where the one cannot see what the other still runs."""

import contextlib
import signal
import subprocess
import sys

import jobs
import judge
import pytest
from ground import Ground, docker_missing
from test_away import in_run, last_entry

from build_hosts import bridge_address
from lanza_server import Process, binary, wait_until
from second_engine import second_engine

BASE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
QUEUE = "machines"


@pytest.fixture
def ground(tmp_path):
    if reason := docker_missing():
        pytest.skip(reason)
    with contextlib.closing(Ground(tmp_path / "ground", ["docker"], 4)) as made:
        root = made.folder / "jobs"
        jobs.plain(root)
        jobs.make_all(root, made.user.name, made.project, made.environment)
        yield made


@pytest.fixture
def start(ground, tmp_path):
    """Starts an agent of its own state folder on an engine."""
    started: list[Process] = []

    def call(engine: str = "") -> Process:
        number = len(started)
        environment = {**ground.environment, **({"DOCKER_HOST": engine} if engine else {})}
        command = [binary(), "agent", "-e", ground.user.name, "-q", QUEUE, "--state", tmp_path / f"state-{number}"]
        started.append(Process(command, tmp_path / f"agent-{number}.log", environment, tmp_path))
        return started[-1]

    yield call
    for process in started:
        process.kill()


def test_what_a_machine_that_was_away_still_runs_changes_nothing_and_ends(ground, start, tmp_path, tmp_path_factory):
    config = ground.user.rest.get(f"/entities/{ground.user.name}/queues/docker")["queue"]["config"]
    policy = {"lost_after_seconds": 2, "retry": {"max": 1, "on": ["lost"], "backoff_seconds": 0}}
    ground.user.queue(QUEUE, "docker", config=config, policy=policy)
    # The first attempt would never end by itself; its machine does not reach the server, its agent does.
    script = "if [ $LANZA_ATTEMPT = 1 ]; then exec python work.py --silent --seconds 600; fi; exec python work.py"
    body = {"job": f"{ground.user.name}/{ground.project}/plain:latest", "project": ground.project}
    body["overrides"] = {"entry_point": ["sh", "-c", script + " --seconds 5"]}
    with second_engine("docker", bridge_address("docker"), BASE, tmp_path_factory.mktemp("away")) as engine:

        def there() -> list:
            command = ["docker", "--host", engine, "ps", "-q", "--no-trunc"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

        first = start(engine)
        item = ground.push_body(QUEUE, body)
        wait_until("the first attempt", lambda: ground.witness(item, "ready"), 60)
        in_run(ground, item)
        (container,) = there()
        first.popen.send_signal(signal.SIGSTOP)
        try:
            second = start()
            found = ground.user.ended(item, 120)
            assert (found["state"], found["attempt"]) == ("finished", 2), (found["reason"], second.text()[-3000:])
            assert there() == [container], "nobody else reaches that machine"
        finally:
            first.popen.send_signal(signal.SIGCONT)
        # Its agent hears that the item is another's, ends what it runs of it, and reports nothing that changes it.
        wait_until("the end of the first attempt", lambda: not there(), 60)
        wait_until("the word of the first agent", lambda: last_entry(tmp_path / "state-0", item) == "forgotten", 30)
        again = ground.user.item(item)
        assert (again["state"], again["exit_code"], again["attempt"]) == ("finished", 0, 2)
        assert [a["state"] for a in again["attempts"]] == ["lost", "finished"], again["attempts"]
        assert {x["attempt"] for x in ground.witness(item, "end")} == {2}
        assert judge.ends_by_item(ground)[item] == ["finished"]
        assert first.popen.poll() is None, "the agent goes on with other items"
        ground.nothing_left(60)
