"""Following a run while its script prints, and taking an ended item apart."""

import json
import subprocess
import sys
import textwrap

from lanza_server import binary, wait_until

PRINTS = """
    import sys, time
    import wandb

    with wandb.init(project=sys.argv[1], id=sys.argv[2]):
        print("first line", flush=True)
        for percent in (10, 50, 100):
            print(f"\\rstep {percent}%", end="", flush=True)
            time.sleep(1.5)
        print("\\nlast line", flush=True)
"""


def test_a_runs_console_is_followed_to_its_end(account, project, environment, tmp_path):
    path = tmp_path / "train.py"
    path.write_text(textwrap.dedent(PRINTS))
    script = subprocess.Popen([sys.executable, path, project, "followed"], env=environment, cwd=tmp_path)
    try:
        run_url = f"{account.rest.root}/api/v1{account.run_path(project, 'followed')}"
        wait_until("the run", lambda: account.rest.session.get(run_url, timeout=60).ok, 60)
        follow = [binary(), "run", "log", f"{account.name}/{project}/followed", "-f"]
        done = subprocess.run(follow, env=environment, stdout=subprocess.PIPE, text=True, timeout=120)
        still = account.run(project, "followed")["state"]
    finally:
        assert script.wait(60) == 0
    assert done.returncode == 0
    assert still == "finished", "the stream ended before the run"
    lines = done.stdout.splitlines()
    assert lines.index("first line") < lines.index("last line")
    assert "step 100%" in lines


def test_a_replay_names_all_that_the_agent_was_handed_but_the_token(account, project, stranger):
    account.queue(project, "docker", config={"env": {"A": "1"}})
    path = f"/api/v1/entities/{account.name}/queues/{project}/items"
    body = {"docker": {"docker_image": "some/image:3"}, "project": project, "overrides": {"args": ["--lr", "1"]}}
    item = account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]
    replay = account.rest.call("POST", f"/api/v1/items/{item}/replay", expect=200).json()["replay"]
    lease = replay["lease"]
    assert (lease["item"], lease["image"], lease["target"]) == (item, "some/image:3", "docker")
    assert lease["overrides"] == {"args": ["--lr", "1"]} and lease["run_project"] == project
    assert lease["queue_config"] == {"env": {"A": "1"}}
    assert lease["token"] == "" and account.key not in json.dumps(replay)
    stranger.rest.call("POST", f"/api/v1/items/{item}/replay", expect=404)
