"""Environments that are built anew at somebody's word: newer releases are found, and nobody's ground is taken away."""

import json
import os
import signal
import time

import pytest

from build_hosts import Index, wheel
from lanza_server import wait_until
from test_builds import PRINT, agent_state, config, good, installer, log, phases, push
from test_image_builds import BASE, PASSWORD, USER, bridge, builder, image_id, images, registry
from test_shared_builds import waiting

# Fixtures of the other files are arguments here.
# ruff: noqa: F401, F811


@pytest.fixture
def index(request):
    """An index with one release, that lets its clients remember its pages."""
    place = request.getfixturevalue("bridge") if "docker" in request.fixturenames else "127.0.0.1"
    started = Index(place, max_age=600)
    started.add(wheel("pebble", "1.0"))
    yield started
    started.close()


def venvs(state) -> list:
    """The virtual environments of an agent, by environment."""
    folders = [p for p in (state / "envs").iterdir() if p.is_dir()]
    return [sorted(p.name for p in folder.iterdir() if p.is_dir()) for folder in folders]


def waits_for(path) -> str:
    """A script that imports its package only when a file is there."""
    return f"import pathlib, time\nwhile not pathlib.Path({str(path)!r}).exists(): time.sleep(0.1)\n{PRINT}"


def runs(account, item) -> bool:
    return wait_until(f"{item} to run", lambda: account.item(item)["phase"] == "run", 200)


def test_a_newer_release_is_found_and_a_running_job_keeps_its_own(
    account, project, agent, push, index, installer, lanza_cli, agent_state, tmp_path
):
    account.queue(project)
    agent(project, options=("-j", "4"))
    needs = index.options() + "pebble\n"
    first = good(account, push({"job.py": PRINT, "requirements.txt": needs}))
    assert "pebble 1.0" in log(account, first["id"]) and first["environment"]["packages"] == ["pebble==1.0"]
    slow = push({"job.py": waits_for(tmp_path / "go"), "requirements.txt": needs}, name="slow")
    runs(account, slow)

    index.add(wheel("pebble", "2.0"))
    count = len(index.requests)
    cached = good(account, push({"job.py": PRINT, "requirements.txt": needs}))
    assert cached["environment"]["packages"] == ["pebble==1.0"] and len(index.requests) == count

    job = f"{account.name}/{project}/job:latest"
    launched = lanza_cli(
        "launch", "-e", account.name, "-q", project, "-p", project, "-j", job, "--rebuild"
    ).stdout.strip()
    anew = good(account, launched)
    assert "pebble 2.0" in log(account, launched) and "build" in phases(anew)
    assert anew["environment"]["digest"] == first["environment"]["digest"]
    assert (anew["environment"]["cached"], anew["environment"]["packages"]) == (False, ["pebble==2.0"])
    # It holds for everybody from now on, and costs nothing more.
    count = len(index.requests)
    again = good(account, push({"job.py": PRINT, "requirements.txt": needs}))
    assert (again["environment"]["cached"], again["environment"]["packages"]) == (True, ["pebble==2.0"])
    assert len(index.requests) == count
    # What ran before is remembered as it was, and what runs still has what it began with.
    assert account.item(first["id"])["environment"]["packages"] == ["pebble==1.0"]
    assert venvs(agent_state) == [["venv", "venv-2"]]
    (tmp_path / "go").touch()
    good(account, slow)
    assert "pebble 1.0" in log(account, slow)

    # An item that is launched again is built anew only where that is asked for.
    index.add(wheel("pebble", "3.0"))
    plain = good(account, lanza_cli("item", "retry", launched).stdout.strip())
    assert plain["environment"]["packages"] == ["pebble==2.0"] and len(index.requests) == count
    retried = good(account, lanza_cli("item", "retry", launched, "--rebuild").stdout.strip())
    assert retried["environment"]["packages"] == ["pebble==3.0"]


def test_a_rebuild_that_fails_or_is_killed_leaves_what_was_there(
    account, project, agent, push, index, installer, agent_state
):
    account.queue(project)
    running = agent(project)
    needs = index.options() + "pebble\n"
    files = {"job.py": PRINT, "requirements.txt": needs}
    good(account, push(files))
    release = index.files.pop("pebble-1.0-py3-none-any.whl")
    failed = account.ended(push(files, body={"rebuild": True}), 200)
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "package_missing"), failed["reason"]
    assert venvs(agent_state) == [["venv"]]
    kept = good(account, push(files))
    assert kept["environment"]["cached"] is True and "pebble 1.0" in log(account, kept["id"])

    index.files["pebble-1.0-py3-none-any.whl"] = release
    index.add(wheel("pebble", "2.0"))
    index.requests.clear()
    index.hang = True
    try:
        item = push(files, body={"rebuild": True})
        wait_until("the installer to ask", lambda: index.requests, 100)
        assert venvs(agent_state) == [["venv", "venv-2"]]
        os.kill(running.popen.pid, signal.SIGKILL)
        running.popen.wait()
    finally:
        index.hang = False
    agent(project)
    ended = good(account, item)
    assert ended["attempt"] == 1 and "pebble 2.0" in log(account, item)
    (names,) = venvs(agent_state)
    assert names == ["venv", "venv-2"], "the half-made one is gone, the old one is kept for a moment"


def test_of_two_who_want_it_anew_one_builds(account, project, agent, push, index, installer):
    account.queue(project)
    first_life = agent(project)
    files = {"job.py": PRINT, "requirements.txt": index.options() + "pebble\n"}
    good(account, push(files))
    # Both are pushed before either is begun with.
    assert first_life.stop() == 0
    index.add(wheel("pebble", "2.0"))
    downloaded = index.downloads("pebble")
    index.hang = True
    try:
        items = [push(files, body={"rebuild": True}) for _ in range(2)]
        agent(project, options=("-j", "3"))
        builder, waiter = waiting(account, items)
        # Who does not ask for it does not wait.
        other = good(account, push(files))
        assert other["environment"]["packages"] == ["pebble==1.0"]
    finally:
        index.hang = False
    first, second = good(account, builder), good(account, waiter)
    assert (first["environment"]["cached"], second["environment"]["cached"]) == (False, True)
    for item in (first, second):
        assert item["environment"]["packages"] == ["pebble==2.0"] and "pebble 2.0" in log(account, item["id"])
    assert index.downloads("pebble") - downloaded == 1 or installer == "uv", "uv asks for one file more than once"


def test_an_image_is_built_anew_and_its_name_moves(
    account, project, agent, push, docker, builder, index, tmp_path
):  # fmt: skip
    account.queue(project, "docker")
    agent(project, options=("-j", "2"))
    marker = f"; platform_machine != 'm{time.time_ns()}'"
    files = {"job.py": PRINT, "requirements.txt": f"{index.options()}pebble {marker}\n"}
    first = good(account, push(files, runtime="3.11"))
    tag = f"lanza-env:{first['environment']['digest']}"
    old = image_id(docker, tag)
    assert old and "pebble==1.0" in first["environment"]["packages"]
    # It waits for a file in its scratch folder, which is a folder of this machine.
    slow = push(
        {"job.py": waits_for("/lanza/scratch/go"), "requirements.txt": files["requirements.txt"]}, runtime="3.11"
    )
    runs(account, slow)
    index.add(wheel("pebble", "2.0"))
    anew = good(account, push(files, runtime="3.11", body={"rebuild": True}))
    assert "pebble 2.0" in log(account, anew["id"]) and "build" in phases(anew)
    assert anew["environment"]["digest"] == first["environment"]["digest"]
    assert anew["environment"]["cached"] is False and "pebble==2.0" in anew["environment"]["packages"]
    new = image_id(docker, tag)
    assert new not in ("", old) and image_id(docker, old) == old, "a container has it"
    count = len(index.requests)
    again = good(account, push(files, runtime="3.11"))
    assert again["environment"]["cached"] is True and "pebble==2.0" in again["environment"]["packages"]
    assert len(index.requests) == count and image_id(docker, tag) == new
    (scratch,) = tmp_path.glob(f"**/scratch/{slow}")
    (scratch / "go").touch()
    good(account, slow)
    assert "pebble 1.0" in log(account, slow)
    # Nobody has the second one any more, so the third takes its place at once.
    downloaded = index.downloads("pebble")
    third = good(account, push(files, runtime="3.11", body={"rebuild": True}))
    # Where the builder keeps downloads, that of the second one will do.
    assert index.downloads("pebble") - downloaded == (0 if builder == "buildx" else 1)
    assert third["environment"]["cached"] is False
    assert image_id(docker, tag) not in ("", new) and image_id(docker, new) == ""


def test_a_dockerfile_is_built_anew_and_pushed_again(
    account, project, agent, push, docker, builder, registry, environment, config
):  # fmt: skip
    account.queue(project, "docker")
    destination = f"{registry.place}/team/anew"
    credential = {"username": USER, "password": PASSWORD}
    agent(
        project,
        options=config(
            builder={"destination": destination}, lanza={"registry": {"credentials": {registry.place: credential}}}
        ),
    )
    files = {
        "Dockerfile.wandb": f"FROM {BASE}\nENV MARK={time.time_ns()}\nRUN date +%s%N > /made\nCOPY job.py /job.py\n",
        "job.py": "print('made', open('/made').read())\n",
    }
    made = []
    for body in ({}, {}, {"rebuild": True}, {}):
        item = good(account, push(files, body=body))
        made.append((item["environment"]["digest"], log(account, item["id"]).strip(), "push" in phases(item)))
    first, cached, anew, last = made
    assert len({digest for digest, _, _ in made}) == 1
    assert cached == (first[0], first[1], False)
    assert anew[1] != first[1] and first[2] and anew[2], made
    assert last == (anew[0], anew[1], False)
    assert registry.requests("PUT", f"team/anew/manifests/{first[0]}") == 2


def test_what_is_not_built_is_said(account, project, agent, push, docker, config):
    account.queue(project, "docker")
    agent(project, options=config(builder={"type": "noop", "base_image": BASE}))
    image = {"docker": {"docker_image": BASE}, "overrides": {"entry_point": ["true"]}, "project": project}
    path = f"/api/v1/entities/{account.name}/queues/{project}/items"
    launched = account.rest.call("POST", path, expect=201, json={**image, "rebuild": True}).json()["item"]["id"]
    for item, why in (
        (launched, "an image that was made elsewhere"),
        (push({"job.py": "print(1)\n"}, body={"rebuild": True}), "builds nothing"),
    ):
        assert any("nothing is built anew" in w and why in w for w in good(account, item)["warnings"]), item
    refused = account.rest.refused("POST", path[len("/api/v1") :], 422, json={**image, "rebuild": "yes"})
    assert "rebuild" in json.dumps(refused)
