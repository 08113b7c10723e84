"""A server without room on its disk, and one that is away for longer than the grace: it says so, and nothing is lost."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

import jobs
import judge
import pytest
from ground import Ground, MortalServer, docker_missing

from lanza_server import wait_until

# Longer than the minute after which an agent counts as silent, and the queue's grace on top of it.
GRACE_SECONDS = 5
AWAY_SECONDS = 75


@pytest.fixture
def small_disk(tmp_path):
    """A server whose data folder is a file system of 32 MiB."""
    data = tmp_path / "server" / "data"
    data.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(data)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a file system")
    made = None
    try:
        made = MortalServer(tmp_path / "server", exist_ok=True)
        yield made, data
    finally:
        if made is not None and made.process.popen.poll() is None:
            made.kill()
        subprocess.run(["umount", "-l", str(data)], check=True)


def fill(folder: Path) -> Path:
    """Writes until there is no byte left."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


def test_a_full_disk_is_said_and_what_was_answered_is_there(small_disk):
    server, data = small_disk
    user = server.user("ada")
    user.queue("q", "process")
    launches = f"/entities/{user.name}/queues/q/items"
    spec = {"job": f"{user.name}/p/none:v0", "project": "p", "resource": "process"}
    accepted = []

    def launch(padding: int = 0) -> int:
        body = {**spec, "overrides": {"args": ["x" * padding]}}
        answer = user.rest.session.post(f"{server.url}/api/v1{launches}", json=body, timeout=60)
        if answer.status_code == 201:
            accepted.append(answer.json()["item"]["id"])
        else:
            problem = answer.json()
            assert answer.status_code == 503 and problem["code"] == "unavailable", problem
            assert "disk" in problem["message"] and "full" in problem["message"], problem
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    assert launch() == 201
    ballast = fill(data)
    # There is some room inside of the files that are there.
    wait_until("the end of the room", lambda: launch(200_000) == 503, 60)
    assert launch(200_000) == 503
    assert user.item(accepted[0])["state"] == "queued", "what is there can be read"
    assert server.process.popen.poll() is None
    os.unlink(ballast)
    wait_until("room again", lambda: launch() == 201, 30)
    server.kill()
    server.start()
    listed = {item["id"] for item in user.rest.items(launches)}
    assert set(accepted) <= listed, "answered means durable, also on a full disk"
    assert len(listed) == len(accepted), "what was refused is not there"


def test_a_server_that_is_away_for_longer_than_the_grace_loses_nothing(tmp_path):
    """On both targets in one absence: it is the wait that is dear."""
    targets = ["process"] if docker_missing() else ["docker", "process"]
    with contextlib.closing(Ground(tmp_path / "ground", targets, 4)) as ground:
        root = ground.folder / "jobs"
        jobs.plain(root)
        jobs.make_all(root, ground.user.name, ground.project, ground.environment)
        for target in targets:
            path = f"/api/v1/entities/{ground.user.name}/queues/{target}"
            ground.user.rest.call("PATCH", path, expect=200, json={"policy": {"lost_after_seconds": GRACE_SECONDS}})
        ground.start_agent()
        # Of each target one ends while the server is away, and one after it is back.
        long = AWAY_SECONDS + 25
        goes_on = {t: ground.push(t, "plain", "--seconds", long, "--early") for t in targets}
        for item in goes_on.values():
            ground.wait_for(item, "ready")
        short = ("--seconds", 20, "--megabytes", 2, "--early", "--code", 7)
        ends = {t: ground.push(t, "plain", *short) for t in targets}
        for item in ends.values():
            ground.wait_for(item, "ready")
            wait_until("phase run", lambda i=item: ground.user.item(i)["phase"] == "run", 15)
        assert all(ground.user.item(i)["state"] == "running" for i in (*ends.values(), *goes_on.values()))
        ground.server.kill()
        gone = time.monotonic()
        ended = {item: ground.wait_for(item, "end", 60) for item in ends.values()}
        time.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
        ground.server.start()
        for target, item in ends.items():
            found = ground.user.ended(item, 30)
            assert (found["state"], found["exit_code"], found["attempt"]) == ("failed", 7, 1), (target, found["reason"])
            assert found["target"] == target
            judge.log_is_complete(ground, item, ended[item])
        for target, item in goes_on.items():
            found = ground.user.ended(item, 60)
            assert (found["state"], found["attempt"]) == ("finished", 1), (target, found["reason"])
        told = {**dict.fromkeys(ends.values(), ["failed"]), **dict.fromkeys(goes_on.values(), ["finished"])}
        assert judge.ends_by_item(ground) == told
        ground.nothing_left()
