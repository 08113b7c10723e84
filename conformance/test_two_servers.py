"""Two servers on one Postgres: a push at one wakes an agent at the other, and killing either, or the database, loses nothing.

LANZA_TEST_POSTGRES_URL names a database; LANZA_REQUIRE with `postgres` makes a missing one an error.
"""

import contextlib
import datetime
import os
import shutil
import subprocess
import time
import uuid
from types import SimpleNamespace

import pytest
from conftest import client_environment, fresh_environment

from lanza_server import Account, Process, Server, binary, wait_until
from needs import required

POSTGRES_URL = os.environ.get("LANZA_TEST_POSTGRES_URL")
JOB = """
import sys, time, wandb

with wandb.init() as run:
    until = time.monotonic() + float(sys.argv[1])
    step = 0
    while time.monotonic() < until:
        run.log({"step_done": step})
        step += 1
        time.sleep(0.2)
    run.summary["steps"] = step
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    url = POSTGRES_URL
    if not url:
        assert not required("postgres"), "LANZA_REQUIRE names postgres, and LANZA_TEST_POSTGRES_URL is not set"
        pytest.skip("LANZA_TEST_POSTGRES_URL is not set")
    psql = shutil.which("psql")
    if psql is None:
        assert not required("postgres"), "LANZA_REQUIRE names postgres, and there is no `psql` to make a database with"
        pytest.skip("there is no `psql` to make a database with")
    # Rows and blobs belong together: both are new.
    database = f"two_{uuid.uuid4().hex[:12]}"
    subprocess.run([psql, url, "-qc", f"CREATE DATABASE {database}"], check=True)
    folder = tmp_path_factory.mktemp("two")
    own = url.partition("?")[0].rpartition("/")[0] + f"/{database}"
    options = ["--database-url", own, "--blobs", f"file://{folder / 'blobs'}"]
    servers = [Server(folder / name, options) for name in ("first", "second")]
    user = servers[0].user(f"duo{uuid.uuid4().hex[:8]}")
    environment = {**fresh_environment(), **client_environment(user, folder)}
    environment["WANDB_BASE_URL"] = servers[1].url
    user.queue("q")
    agent = Process(
        [binary(), "agent", "-e", user.name, "-q", "q", "-j", "4", "--state", folder / "state"],
        folder / "agent.log", environment, folder,
    )  # fmt: skip
    code = folder / "code"
    code.mkdir()
    (code / "train.py").write_text(JOB)
    (code / "requirements.txt").write_text("wandb==0.31.0\n")
    place = SimpleNamespace(folder=folder, options=options, servers=servers, user=user, environment=environment)

    @contextlib.contextmanager
    def away():
        """Nobody is let into the database, and who was in it is thrown out."""
        out = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        subprocess.run([psql, url, "-qc", f"ALTER DATABASE {database} ALLOW_CONNECTIONS false", "-c", out], check=True)
        try:
            yield
        finally:
            subprocess.run([psql, url, "-qc", f"ALTER DATABASE {database} ALLOW_CONNECTIONS true"], check=True)

    place.away = away
    created = Process(
        [binary(), "job", "create", "code", code, "-p", "p", "-e", user.name, "-n", "steps", "-E", "python train.py"],
        folder / "create.log", environment, folder,
    )  # fmt: skip
    assert created.popen.wait(60) == 0, created.text()
    agent.wait_for(r"registered as \w+ for q")
    yield place
    # The agent's own server must be there for its goodbye.
    for number, server in enumerate(place.servers):
        if server.process.popen.poll() is not None:
            start_again(place, number)
    assert agent.stop(30) == 0, agent.text()[-4000:]
    for server in place.servers:
        assert server.process.stop() == 0, server.process.text()[-4000:]
        assert "panicked at" not in server.process.text()
    subprocess.run([psql, url, "-qc", f"DROP DATABASE {database}"], check=True)


def start_again(place, number: int) -> None:
    old = place.servers[number]
    place.servers[number] = Server(old.folder / "again", place.options, old.port)


def push(place, number: int, seconds: float) -> str:
    rest = place.servers[number].rest(place.user.key)
    body = {"job": f"{place.user.name}/p/steps:latest", "project": "p", "overrides": {"args": [str(seconds)]}}
    return rest.post(f"/entities/{place.user.name}/queues/q/items", body)["item"]["id"]


def at_server(place, number: int) -> Account:
    """The user of this place, asking one of the servers."""
    return Account(place.servers[number], place.user.name, place.user.key)


def in_run(place, number: int, id: str) -> None:
    user = at_server(place, number)
    wait_until("phase run", lambda: user.item(id)["phase"] == "run", 90)
    wait_until("the run", lambda: user.item(id)["run"], 60)


def steps_of(place, number: int, item: dict) -> tuple[int, int]:
    """What the summary says and what the history has."""
    rest = place.servers[number].rest(place.user.key)
    run = rest.get(f"/entities/{place.user.name}/projects/p/runs/{item['run']}")["run"]
    history = rest.graphql(
        "query H($e: String!, $p: String!, $r: String!) "
        "{ project(name: $p, entityName: $e) { run(name: $r) { historyLineCount } } }",
        {"e": place.user.name, "p": "p", "r": item["run"]},
    )
    return run["summary"]["steps"], history["data"]["project"]["run"]["historyLineCount"]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_a_push_at_one_server_wakes_an_agent_at_the_other(place):
    at_server(place, 1).ended(push(place, 1, 0))
    waits = []
    for _ in range(5):
        done = at_server(place, 0).ended(push(place, 0, 0))
        assert done["state"] == "finished", done["reason"]
        waits.append((at(done["leased_at"]) - at(done["created_at"])).total_seconds())
    # Between two looks of a waiting agent lie five seconds; all five waits would have to be lucky.
    assert sorted(waits)[-2] < 1.5, waits


@pytest.mark.parametrize("killed", [0, 1], ids=["the-server-of-the-push", "the-server-of-the-agent-and-the-run"])
def test_killing_either_server_loses_nothing(place, killed):
    id = push(place, 0, 8)
    in_run(place, 0, id)
    place.servers[killed].process.kill()
    if killed == 0:
        # The other one serves everything alone.
        beside = push(place, 1, 0)
        assert at_server(place, 1).ended(beside)["state"] == "finished"
    else:
        waiting = push(place, 0, 0)
    start_again(place, killed)
    for number in (0, 1):
        done = at_server(place, number).ended(id)
        assert (done["state"], done["exit_code"], done["attempt"]) == ("finished", 0, 1), done
        wait_until("all steps", lambda n=number, d=done: len(set(steps_of(place, n, d))) == 1, 60)
        assert steps_of(place, number, done)[0] > 10
    if killed == 1:
        assert at_server(place, 0).ended(waiting)["state"] == "finished"


def test_a_database_that_is_away_for_a_while_loses_nothing(place):
    id = push(place, 0, 6)
    in_run(place, 0, id)
    path = f"/entities/{place.user.name}/queues/q/items"
    body = {"job": f"{place.user.name}/p/steps:latest", "project": "p", "overrides": {"args": ["0"]}}
    with place.away():
        for server in place.servers:
            rest = server.rest(place.user.key)
            assert rest.refused("POST", path, 503, json=body)["code"] == "unavailable"
            assert server.rest(None).session.get(f"{server.url}/ready", timeout=60).status_code == 503
        # The job ends in this time, with nobody who could write that down.
        time.sleep(12)
    wait_until("both servers", lambda: all(s.rest(None).session.get(f"{s.url}/ready").ok for s in place.servers), 30)
    done = at_server(place, 1).ended(id, 90)
    assert (done["state"], done["exit_code"], done["attempt"]) == ("finished", 0, 1), done
    wait_until("all steps", lambda: len(set(steps_of(place, 0, done))) == 1, 60)
    assert steps_of(place, 0, done)[0] > 10
    # What was refused is not there, and what is pushed now runs.
    items = at_server(place, 0).rest.items("/items", entity=place.user.name, queue="q")
    assert all(item["state"] == "finished" for item in items), items
    assert at_server(place, 0).ended(push(place, 0, 0))["state"] == "finished"
