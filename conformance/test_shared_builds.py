"""One build of a digest at a time: who comes second waits, says so, and uses what the first one built."""

import json
import os
import signal
import subprocess
import time

import pytest

from lanza_server import wait_until
from second_engine import second_engine
from test_builds import PRINT, agent_state, config, good, index, installer, log, phases, push
from test_image_builds import BASE, PASSWORD, USER, bridge, image_id, registry
from test_image_builds import index as bridge_index

# Fixtures of the other files are arguments here.
# ruff: noqa: F401, F811


def waiting(account, items) -> tuple[str, str]:
    """Waits until one item waits for the build of another; returns the builder and the waiter."""

    def look():
        for waiter in items:
            why = account.item(waiter)["why"]
            if why and why["rule"] == "build_in_progress":
                return waiter, why

    waiter, why = wait_until("an item that waits for a build", look, 120)
    (builder,) = (item for item in items if f"item {item}" in why["message"])
    assert builder != waiter and why["position"] is None
    found = account.item(waiter)
    assert (found["state"], found["phase"]) == ("running", "build")
    assert account.item(builder)["why"] is None
    said = wait_until("the log", lambda: log(account, waiter, "build"))
    assert "waits for the build of" in said and builder in said
    return builder, waiter


def left_of(states) -> list:
    """The programs that agents of these state folders started for themselves: each carries its agent's mark."""
    marks = [json.loads((s / "agent.json").read_text())["state"] for s in states if (s / "agent.json").exists()]
    assert marks
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    text = file.read()
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if any(f"LANZA_AGENT_STATE={mark}\0".encode() in text + b"\0" for mark in marks):
                found.append(command)
    return found


def test_two_items_of_one_agent_make_one_environment(account, project, agent, push, index, installer, tmp_path):
    account.queue(project)
    files = {"job.py": PRINT, "requirements.txt": index.options() + "pebble==1.0\n"}
    index.requests.clear()
    index.hang = True
    try:
        items = [push(files) for _ in range(3)]
        agent(project, options=("-j", "3"))
        builder, waiter = waiting(account, items)
        # One that is stopped while it waits has nothing to end first.
        (third,) = set(items) - {builder, waiter}
        wait_until("the third to wait", lambda: (account.item(third)["why"] or {}).get("rule") == "build_in_progress")
        begun = time.monotonic()
        account.rest.call("POST", f"/api/v1/items/{third}/stop", json={"grace_seconds": 5})
        assert account.ended(third, 30)["state"] == "stopped"
        assert time.monotonic() - begun < 15
    finally:
        index.hang = False
    first, second = good(account, builder), good(account, waiter)
    assert first["environment"]["cached"] is False and second["environment"]["cached"] is True
    assert first["environment"]["digest"] == second["environment"]["digest"]
    if installer == "uv":
        # It asks for one file more than once.
        calls = (tmp_path / "uv.log").read_text()
        assert calls.count("pip install ") == calls.count("venv --quiet") == 1, calls
    else:
        assert index.downloads("pebble") == 1
    assert "that build is done" in log(account, waiter, "build")
    assert "making an environment" not in log(account, waiter, "build")


@pytest.mark.parametrize("place", ["engine", "registry"])
def test_two_agents_make_one_image(
    account, project, agent, push, docker, bridge_index, environment, config, tmp_path, place, request
):  # fmt: skip
    environment["DOCKER_CONFIG"] = str(tmp_path)
    options, host = (), None
    if place == "registry":
        host = request.getfixturevalue("registry")
        destination = f"{host.place}/team/shared"
        credential = {"username": USER, "password": PASSWORD}
        options = config(
            builder={"destination": destination}, lanza={"registry": {"credentials": {host.place: credential}}}
        )
    account.queue(project, "docker")
    marker = f"; platform_machine != 'm{time.time_ns()}'"
    files = {"job.py": PRINT, "requirements.txt": bridge_index.options() + f"pebble==1.0 {marker}\n"}
    bridge_index.requests.clear()
    bridge_index.hang = True
    try:
        items = [push(files, runtime="3.11") for _ in range(2)]
        for name in ("one", "two"):
            agent(project, options=options, state=tmp_path / name)
        builder, waiter = waiting(account, items)
        assert account.item(builder)["agent"] != account.item(waiter)["agent"]
    finally:
        bridge_index.hang = False
    first, second = good(account, builder), good(account, waiter)
    key = first["environment"]["digest"]
    assert second["environment"]["digest"] == key
    assert (first["environment"]["cached"], second["environment"]["cached"]) == (False, True)
    assert "pebble==1.0" in second["environment"]["packages"]
    assert bridge_index.downloads("pebble") == 1
    assert "building the environment" in log(account, builder, "build")
    assert "building the environment" not in log(account, waiter, "build")
    assert "that build is done" in log(account, waiter, "build")
    if host:
        assert host.requests("PUT", f"team/shared/manifests/{key}") == 1
        assert "push" in phases(first) and "push" not in phases(second)


@pytest.fixture
def other_engine(docker, bridge, tmp_path_factory):
    with second_engine(docker, bridge, BASE, tmp_path_factory.mktemp("other")) as host:
        yield host


def test_two_machines_make_one_image_and_one_pulls_it(
    account, project, agent, push, docker, registry, other_engine, environment, config, tmp_path
):  # fmt: skip
    environment["DOCKER_CONFIG"] = str(tmp_path)
    credential = {"username": USER, "password": PASSWORD}
    options = config(
        builder={"destination": f"{registry.place}/team/machines"},
        lanza={"registry": {"credentials": {registry.place: credential}}},
    )
    account.queue(project, "docker")
    mark = time.time_ns()
    files = {
        "Dockerfile.wandb": f"FROM {BASE}\nRUN echo {mark} > /mark && sleep 15\nCOPY job.py /job.py\n",
        "job.py": "print('made', open('/mark').read())\n",
    }
    items = [push(files) for _ in range(2)]
    agent(project, options=options, state=tmp_path / "here")
    agent(project, options=options, state=tmp_path / "there", env={**environment, "DOCKER_HOST": other_engine})
    builder, waiter = waiting(account, items)
    first, second = good(account, builder), good(account, waiter)
    key = first["environment"]["digest"]
    assert second["environment"]["digest"] == key
    for item in (first, second):
        assert f"made {mark}" in log(account, item["id"])
    made = [[p for p in phases(item) if p in ("build", "push", "pull")] for item in (first, second)]
    assert made == [["build", "push"], ["build", "pull"]]
    assert registry.requests("PUT", f"team/machines/manifests/{key}") == 1
    assert "sleep 15" in log(account, builder, "build") and "sleep 15" not in log(account, waiter, "build")
    hosts = ({}, {"DOCKER_HOST": other_engine})
    found = [image_id(docker, f"{registry.place}/team/machines:{key}", **host) for host in hosts]
    assert found[0] == found[1] != "", "one image on both"


@pytest.mark.parametrize("target", ["process", "docker"])
def test_the_build_of_a_killed_agent_is_done_by_the_other(
    account, project, agent, push, docker, bridge_index, environment, config, tmp_path, target
):  # fmt: skip
    environment["DOCKER_CONFIG"] = str(tmp_path)
    environment["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    environment["PIP_CACHE_DIR"] = str(tmp_path / "pip-cache")
    account.queue(project, target)
    mark = time.time_ns()
    marker = f"; platform_machine != 'm{mark}'"
    files = {"job.py": PRINT, "requirements.txt": bridge_index.options() + f"pebble==1.0 {marker}\n"}
    before = subprocess.run([docker, "ps", "-aq"], capture_output=True, text=True).stdout.split()
    states = {"one": tmp_path / "one", "two": tmp_path / "two"}
    running = {}
    bridge_index.hang = True
    try:
        runtime = "3.11" if target == "docker" else ""
        items = [push(files, runtime=runtime) for _ in range(2 if target == "docker" else 1)]
        for name in list(states)[: len(items)]:
            running[name] = agent(project, state=states[name])
        if target == "docker":
            builder, waiter = waiting(account, items)
        else:
            builder, waiter = items[0], None
            wait_until("the build", lambda: "making an environment" in log(account, builder, "build"), 60)
        wait_until("the installer to ask", lambda: bridge_index.requests, 60)
        assert left_of(states.values()), "the installer carries the agent's mark"
        # Only the agent itself, as the system would: what it started lives on.
        name = next(n for n in running if (states[n] / "attempts" / f"{builder}-1").exists())
        os.kill(running[name].popen.pid, signal.SIGKILL)
        running[name].popen.wait()
        if waiter:
            wait_until(
                "the other agent to build", lambda: "did not come to a good end" in log(account, waiter, "build"), 120
            )
    finally:
        bridge_index.hang = False
    if waiter:
        good(account, waiter)
    # The same agent again takes its item up, and nothing half is used.
    agent(project, state=states[name])
    ended = good(account, builder)
    assert ended["attempt"] == 1 and "pebble 1.0" in log(account, builder)
    for state in states.values():
        if state.exists():
            folders = [p for p in (state / "envs").iterdir() if p.is_dir()]
            assert all((p / "ready.json").exists() for p in folders), folders

    def clean():
        containers = subprocess.run([docker, "ps", "-aq"], capture_output=True, text=True).stdout.split()
        return not left_of(states.values()) and not set(containers) - set(before)

    wait_until("builders and containers to be gone", clean, 60)
