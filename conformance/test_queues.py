"""Queues from the command line and by real agents: files of queues, plans, policies, usage, why."""

import json
import textwrap
from datetime import datetime

import pytest
import requests
import yaml

from lanza_server import wait_until

# Says how often it was tried, and fails as an attempt that may be repeated until the second time.
STUBBORN = """
import os, sys, pathlib, wandb
run = wandb.init()
marks = pathlib.Path(os.environ["MARKS"])
marks.write_text(marks.read_text() + "x" if marks.exists() else "x")
run.log({"tries": len(marks.read_text())})
run.finish()
sys.exit(75 if len(marks.read_text()) < 2 else 0)
"""

SLEEPER = """
import time, wandb
wandb.init()
time.sleep(600)
"""


def show(account, queue) -> dict:
    return account.rest.get(f"/entities/{account.name}/queues/{queue}")["queue"]


def test_a_file_of_queues_says_what_it_would_do_and_does_it_once(account, lanza_cli, tmp_path):
    file = tmp_path / "queues.yaml"
    file.write_text(
        textwrap.dedent("""
        - name: from-file
          target: docker
          config: { memory: 8g, gpus: "{{gpus}}" }
          templates:
            gpus: { type: integer, minimum: 0, maximum: 4, default: 0 }
          policy:
            max_running: 2
            retry: { max: 2, on: [lost, infrastructure], backoff_seconds: 5 }
        """)
    )
    planned = lanza_cli("queue", "apply", "-f", file, "--plan")
    assert "+ queue `from-file`: new" in planned.stdout
    assert '"max_running":2' in planned.stdout
    assert "1 made, 0 changed, 0 deleted: that would be done" in planned.stderr
    account.rest.refused("GET", f"/entities/{account.name}/queues/from-file", 404)
    assert lanza_cli("queue", "apply", "-f", file, "--check", check=False).returncode == 1

    lanza_cli("queue", "apply", "-f", file)
    queue = show(account, "from-file")
    assert (queue["target"], queue["policy"]["max_running"]) == ("docker", 2)
    assert lanza_cli("queue", "apply", "-f", file, "--check").returncode == 0
    assert "as the file says" in lanza_cli("queue", "apply", "-f", file).stderr

    exported = lanza_cli("queue", "export", "from-file").stdout
    assert yaml.safe_load(exported)[0]["config"] == {"memory": "8g", "gpus": "{{gpus}}"}
    again = tmp_path / "exported.yaml"
    again.write_text(exported.replace("8g", "16g"))
    changed = lanza_cli("queue", "apply", "-f", again)
    assert '~ config.memory: "8g" -> "16g"' in changed.stdout
    assert show(account, "from-file")["config"]["memory"] == "16g"

    # What no launch on it would survive is a warning, with a plan too.
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text("- name: from-file\n  target: docker\n  config: { memmory: 8g }\n")
    warned = lanza_cli("queue", "apply", "-f", misspelt, "--plan").stderr
    assert "`memmory` is not an option of `docker run`" in warned and "`memory`" in warned, warned

    account.queue("not-in-the-file")
    before = {q["name"] for q in account.rest.items(f"/entities/{account.name}/queues")}
    pruned = lanza_cli("queue", "apply", "-f", again, "--prune", "--plan")
    assert f"{len(before) - 1} deleted" in pruned.stderr
    assert {q["name"] for q in account.rest.items(f"/entities/{account.name}/queues")} == before


@pytest.mark.parametrize(
    ("text", "exit_code", "says"),
    [
        ("- name: a\n  policy: {max_runing: 1}\n", 3, ["queues[0].policy.max_runing", "`max_running`"]),
        ("- name: a\n- name: b\n  tagret: docker\n", 3, ["queues[1].tagret", "`target`"]),
        ("- name: a\n  policy: {retry: {on: [exit:x]}}\n", 3, ["queues[0].policy.retry.on[0]"]),
        ("name: a\n", 2, ["list of queues"]),
        ("- [", 2, ["neither YAML nor JSON"]),
    ],
)
def test_a_mistake_in_a_file_is_named_by_its_path(account, lanza_cli, tmp_path, text, exit_code, says):
    file = tmp_path / "queues.yaml"
    file.write_text(text)
    done = lanza_cli("queue", "apply", "-f", file, check=False)
    assert done.returncode == exit_code, done.stderr
    assert all(word in done.stderr for word in says), done.stderr
    account.rest.refused("GET", f"/entities/{account.name}/queues/a", 404)


def test_rest_takes_yaml(account):
    answer = requests.post(
        f"{account.rest.root}/api/v1/entities/{account.name}/queues",
        data="name: of-yaml\ntarget: process\npolicy:\n  max_running: 3\n",
        headers={"Content-Type": "application/yaml", "Authorization": f"Bearer {account.key}"},
        timeout=60,
    )
    assert answer.status_code == 201, answer.text
    assert show(account, "of-yaml")["policy"] == {"max_running": 3}


def test_a_plan_says_who_set_what(account, lanza_cli, project):
    account.queue("planned", "docker", config={"memory": "8g", "gpus": "{{n}}"},
                  templates={"n": {"type": "integer", "default": 1}})  # fmt: skip
    launch = ["launch", "-q", "planned", "-d", "python:3.11-slim", "-p", project, "-R", '{"memory": "16g"}', "--plan"]
    done = lanza_cli(*launch)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert lines["~"].split() == ["~", "memory", '"16g"', "launch", '"8g"']
    assert lines["gpus"].split() == ["gpus", "1", "queue,", "template"]
    assert "no agent polls the queue" in done.stderr
    plan = json.loads(lanza_cli(*launch, "--json").stdout)["plan"]
    assert [s["set_by"] for s in plan["settings"]] == ["template", "launch"]
    assert account.rest.items("/items", entity=account.name, queue="planned") == []


def test_an_exit_code_that_the_policy_names_is_tried_again_under_the_same_run(
    account, lanza_cli, project, code_folder, agent, tmp_path
):
    account.queue("stubborn", policy={"retry": {"max": 2, "on": ["exit:75"], "backoff_seconds": 0}},
                  config={"env": [f"MARKS={tmp_path / 'marks'}"]})  # fmt: skip
    lanza_cli("job", "create", "code", code_folder(STUBBORN), "-p", project, "-n", "stubborn", "-E", "python train.py")
    agent("stubborn")
    item = lanza_cli("launch", "-q", "stubborn", "-j", f"{project}/stubborn", "-p", project).stdout.strip()
    ended = account.ended(item, 180)
    assert (ended["state"], ended["attempt"], ended["exit_code"]) == ("finished", 2, 0), ended
    assert [a["state"] for a in ended["attempts"]] == ["failed", "finished"]
    assert ended["attempts"][0]["exit_code"] == 75
    assert len(ended["runs"]) == 1, "one run across attempts"
    assert account.run(project, ended["run"])["summary"]["tries"] == 2

    usage = json.loads(lanza_cli("usage", "--by", "queue", "--since", "1h", "--json").stdout)["items"]
    (used,) = [u for u in usage if u["key"] == "stubborn"]
    assert used["items"] == 1
    seconds = sum(between(a["leased_at"], a["ended_at"]) for a in ended["attempts"])
    assert used["wall_hours"] * 3600 == pytest.approx(seconds, abs=0.01)
    assert "stubborn" in lanza_cli("usage", "--by", "queue").stdout


def between(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def test_a_job_that_runs_too_long_is_stopped_and_has_failed(account, lanza_cli, project, code_folder, agent):
    account.queue("short", policy={"max_duration_seconds": 3})
    lanza_cli("job", "create", "code", code_folder(SLEEPER), "-p", project, "-n", "sleeper", "-E", "python train.py")
    agent("short")
    item = lanza_cli("launch", "-q", "short", "-j", f"{project}/sleeper", "-p", project).stdout.strip()
    ended = account.ended(item, 180)
    assert (ended["state"], ended["reason"]["code"], ended["exit_code"]) == ("failed", "max_duration", None), ended


def test_a_cap_holds_and_why_says_so(account, lanza_cli, project, code_folder, agent):
    account.queue("capped", policy={"max_running": 1})
    lanza_cli("job", "create", "code", code_folder(SLEEPER), "-p", project, "-n", "sleeper", "-E", "python train.py")
    agent("capped", options=["-j", "4"])
    launch = ["launch", "-q", "capped", "-j", f"{project}/sleeper", "-p", project]
    first, second = (lanza_cli(*launch).stdout.strip() for _ in range(2))
    wait_until("the first one runs", lambda: account.item(first)["started_at"])
    waits = account.item(second)
    assert (waits["state"], waits["why"]["rule"], waits["why"]["position"]) == ("queued", "queue_cap", 1), waits
    assert "its policy allows 1" in lanza_cli("item", "show", second).stdout
    lanza_cli("item", "stop", first, "--grace", "1s", "--wait")
    wait_until("the second one runs", lambda: account.item(second)["started_at"])
    lanza_cli("item", "stop", second, "--grace", "1s", "--wait")
