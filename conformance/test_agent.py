"""`lanza agent` runs jobs that use the real client: from the push to the metrics, and every way to fail."""

import os
import sys
from pathlib import Path

import pytest

from lanza_server import wait_until

JOB = """
    import os, sys
    import wandb

    assert len(os.environ["WANDB_API_KEY"]) == 40
    with wandb.init(config={"lr": 0.1, "steps": 3}) as run:
        for step in range(run.config.steps):
            run.log({"loss": run.config.lr / (step + 1)})
        print("arguments", sys.argv[1:])
        run.summary["accuracy"] = 1 - run.config.lr
"""


@pytest.fixture
def make_job(account, project, wandb_cli, code_folder):
    def make(source, name="worker", requirements="wandb==0.31.0\n", entry="python train.py") -> str:
        folder = code_folder(source, requirements, name)
        wandb_cli("job", "create", "code", folder, "-p", project, "-e", account.name, "-n", name, "-E", entry)
        return f"{account.name}/{project}/{name}:latest"

    return make


def push(account, queue, job, **fields) -> str:
    path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
    return account.rest.call("POST", path, expect=201, json={"job": job, **fields}).json()["item"]["id"]


def phases(item) -> list:
    return [phase["name"] for phase in item["attempts"][-1]["phases"]]


def logs(account, item, **params) -> str:
    return account.rest.text(f"/items/{item}/logs", params=params)


def test_a_code_job_end_to_end(account, project, api, agent, make_job):
    """Pushed by the client, run by our agent in a Python environment of its own, read back through both doors."""
    account.queue(project)
    job = make_job(JOB)
    running = agent(project)
    running.wait_for(project)
    from wandb.sdk.launch import launch_add

    queued = launch_add(
        job=job, queue_name=project, project=project, entity=account.name,
        config={"overrides": {"run_config": {"lr": 0.25, "steps": 5}, "args": ["--fast"]}},
    )  # fmt: skip
    run = queued.wait_until_running()
    finished = queued.wait_until_finished()
    assert finished.id == run.id
    assert finished.state == "finished"
    assert finished.summary["accuracy"] == 0.75
    assert [row["loss"] for row in finished.scan_history(keys=["loss"])] == [0.25 / n for n in range(1, 6)]

    item = account.ended(queued.id)
    assert item["state"] == "finished" and item["exit_code"] == 0
    assert item["reason"] is None
    assert item["run"] == run.id and item["runs"][0] == run.id
    assert item["attempt"] == 1 and len(item["attempts"]) == 1
    assert item["environment"]["packages"] and any(
        p.startswith("wandb==0.31.0") for p in item["environment"]["packages"]
    )
    assert item["source"]["kind"] == "code"
    assert phases(item)[0] == "fetch" and "run" in phases(item)
    assert all(p["ended_at"] and p["started_at"] <= p["ended_at"] for p in item["attempts"][0]["phases"])
    assert "arguments ['--fast']" in logs(account, item["id"], phase="run")
    by_rest = account.run(project, run.id)
    assert by_rest["item"] == item["id"] and by_rest["attempt"] == 1
    assert by_rest["job"] == f"{account.name}/{project}/worker:v0"
    assert by_rest["author"] == account.name
    assert by_rest["config"]["lr"] == 0.25
    used = [a.name for a in api.run(f"{account.name}/{project}/{run.id}").used_artifacts()]
    assert used == ["worker:v0"], "the run uses its job, so the job lists its runs"

    # The second launch finds the environment ready, and no job is made of a launched run.
    again = push(account, project, job, project=project)
    second = account.ended(again)
    assert second["state"] == "finished"
    assert second["environment"]["cached"] is True
    assert second["environment"]["digest"] == item["environment"]["digest"]
    assert [j["name"] for j in account.rest.items(f"/entities/{account.name}/projects/{project}/jobs")] == ["worker"]


def test_a_job_made_from_a_run_is_called_with_all_its_keys(account, project, api, agent, environment, script):
    account.queue(project)
    script(
        f"""
        import wandb
        with wandb.init(project={project!r}, id="origin", config={{"lr": 0.5, "epochs": 2}}) as run:
            run.log_code(".", name="called")
            run.log({{"result": run.config.lr * run.config.epochs}})
        """
    )
    wait_until("the job", lambda: account.rest.items(f"/entities/{account.name}/projects/{project}/jobs"), 30)
    agent(project)
    job = api.job(f"{account.name}/{project}/job-called:latest")
    with pytest.raises(TypeError):
        job.call({"lr": "not a number", "epochs": 2}, project=project, entity=account.name, queue=project)
    queued = job.call({"lr": 0.25, "epochs": 8}, project=project, entity=account.name, queue=project)
    run = queued.wait_until_finished()
    assert run.state == "finished"
    assert run.summary["result"] == 2.0
    item = account.ended(queued.id)
    assert item["target"] == "process", "the queue's target wins over the client's local-container"
    assert item["state"] == "finished"
    assert any("local-container" in w or "docker" in w for w in item["warnings"]), item["warnings"]


def test_a_git_job_runs(account, project, agent, environment, wandb_cli, git_server):
    account.queue(project)
    git_server.repository(
        "runs",
        {
            "train.py": "import wandb\nwith wandb.init() as run:\n    run.log({'from': 'git'})\n",
            "requirements.txt": "wandb==0.31.0\n",
        },
    )
    env = {**environment, **git_server.environment}
    wandb_cli(
        "job", "create", "git", git_server.url("runs"), "-p", project, "-e", account.name, "-n", "g",
        "-E", "python train.py",
        env=env,
    )  # fmt: skip
    agent(project, env=env)
    item = account.ended(push(account, project, f"{account.name}/{project}/g:latest", project=project))
    assert item["state"] == "finished", (item["reason"], logs(account, item["id"]))
    assert item["source"]["kind"] == "git" and len(item["source"]["commit"]) == 40
    assert account.run(project, item["run"])["summary"]["from"] == "git"


def test_the_exit_code_of_a_script_is_shown(account, project, agent, make_job, lanza_cli):
    account.queue(project)
    job = make_job(
        """
        import sys, wandb
        wandb.init()
        print("about to fail", file=sys.stderr)
        sys.exit(3)
        """
    )
    agent(project)
    item = account.ended(push(account, project, job, project=project))
    assert item["state"] == "failed"
    assert item["exit_code"] == 3
    assert item["phase"] == "run"
    assert "3" in item["reason"]["message"]
    assert "about to fail" in logs(account, item["id"])
    assert account.run(project, item["run"])["state"] == "failed"
    shown = lanza_cli("item", "show", item["id"])
    assert "failed" in shown.stdout and "3" in shown.stdout
    assert "about to fail" in lanza_cli("item", "logs", item["id"]).stdout


def test_a_script_that_never_calls_init_fails_with_the_documented_message(account, project, agent, make_job, lanza_cli):
    account.queue(project)
    job = make_job("print('no tracking here')\n")
    agent(project)
    item = account.ended(push(account, project, job, project=project))
    assert item["state"] == "failed"
    assert "wandb.init" in item["reason"]["message"]
    assert "no tracking here" in logs(account, item["id"])
    explained = lanza_cli("explain", item["reason"]["code"])
    assert "wandb.init" in explained.stdout
    assert lanza_cli("explain", item["reason"]["help"]).stdout == explained.stdout
    # Written right after the item's end.
    planned = account.run(project, wait_until("the run", lambda: account.item(item["id"])["run"]))
    assert planned["state"] == "failed", "clients that wait for the run must not wait for ever"


def test_requirements_that_cannot_be_installed_fail_in_build(account, project, agent, make_job):
    account.queue(project)
    job = make_job(JOB, requirements="wandb==0.31.0\n./there-is-no-such-folder\n")
    agent(project)
    item = account.ended(push(account, project, job, project=project), 240)
    assert item["state"] == "failed"
    assert item["phase"] == "build"
    assert item["exit_code"] is None
    assert "there-is-no-such-folder" in logs(account, item["id"], phase="build")


def test_a_missing_job_fails_in_fetch_with_its_name(account, project, agent):
    account.queue(project)
    agent(project)
    item = account.ended(push(account, project, f"{account.name}/{project}/absent:latest", project=project))
    assert item["state"] == "failed" and item["phase"] == "fetch"
    assert "absent" in item["reason"]["message"]


def test_a_stop_ends_the_process_and_says_so(account, project, agent, make_job, api, tmp_path):
    account.queue(project)
    witness = tmp_path / "witness"
    job = make_job(
        f"""
        import pathlib, time, wandb
        wandb.init()
        pathlib.Path({str(witness)!r}).write_text(str(__import__("os").getpid()))
        time.sleep(600)
        """
    )
    agent(project)
    by_rest = push(account, project, job, project=project)
    pid = int(wait_until("the process", lambda: witness.exists() and witness.read_text(), 120))
    account.rest.post(f"/items/{by_rest}/stop", {"grace_seconds": 2})
    item = account.ended(by_rest, 30)
    assert item["state"] == "stopped" and item["exit_code"] is None
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]

    witness.unlink()
    by_client = push(account, project, job, project=project)
    wait_until("the process", lambda: witness.exists() and witness.read_text(), 60)
    run = wait_until("the run", lambda: account.item(by_client)["run"])
    api.run(f"{account.name}/{project}/{run}").stop()
    assert account.ended(by_client, 90)["state"] == "stopped"


def test_a_job_never_gets_the_key_of_the_agent(account, project, agent, make_job):
    account.queue(project)
    job = make_job(
        """
        import os, wandb
        run = wandb.init()
        run.summary["viewer"] = wandb.Api().viewer.username
        print("KEY=" + os.environ["WANDB_API_KEY"])
        run.finish()
        """
    )
    agent(project)
    item = account.ended(push(account, project, job, project=project))
    assert item["state"] == "finished", logs(account, item["id"])
    assert account.run(project, item["run"])["summary"]["viewer"] == account.name
    text = logs(account, item["id"])
    assert account.key not in text
    assert "KEY=" in text


def test_a_killed_agent_adopts_its_job_when_it_returns(account, project, agent, make_job, tmp_path):
    """SIGKILL of the agent while the job runs; the job ends meanwhile; the log is complete and the exit code true."""
    account.queue(project)
    witness = tmp_path / "witness"
    job = make_job(
        f"""
        import pathlib, time, wandb
        run = wandb.init()
        with open({str(witness)!r}, "a") as file:
            file.write("begin\\n")
        for n in range(40):
            print("line", n, flush=True)
            time.sleep(0.1)
        run.finish()
        """
    )
    first = agent(project)
    pushed = push(account, project, job, project=project)
    wait_until("the job", witness.exists, 120)
    os.kill(first.popen.pid, 9)
    first.popen.wait()
    agent(project)
    item = account.ended(pushed, 60)
    assert item["state"] == "finished" and item["exit_code"] == 0, item["reason"]
    assert item["attempt"] == 1
    assert witness.read_text() == "begin\n"
    lines = [line for line in logs(account, pushed, phase="run").splitlines() if line.startswith("line ")]
    assert lines == [f"line {n}" for n in range(40)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"WANDB_API_KEY": "0" * 40}, ["key"]),
        ({}, ["no-such-queue", "a-queue-that-exists"]),
    ],
)
def test_an_agent_that_cannot_serve_says_why(account, environment, lanza_cli, tmp_path, change, words):
    if not any(q["name"] == "a-queue-that-exists" for q in account.rest.items(f"/entities/{account.name}/queues")):
        account.queue("a-queue-that-exists")
    done = lanza_cli(
        "agent", "-q", "no-such-queue", "-e", account.name, "--state", tmp_path / "s",
        env={**environment, **change}, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode in ((3,) if not change else (1, 2, 3)), done.stderr
    for word in words:
        assert word in done.stderr.lower(), done.stderr


def test_the_config_is_found_in_its_usual_place(account, project, agent, environment, tmp_path):
    folder = tmp_path / "home" / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "launch-config.yaml").write_text(f"queues: [{project}]\nmax_jobs: 7\nbuilder: {{type: noop}}\n")
    environment = {k: v for k, v in environment.items() if k not in ("XDG_CONFIG_HOME", "WANDB_CONFIG_DIR")}
    account.queue(project)
    started = agent(env={**environment, "HOME": str(tmp_path / "home")}, state=tmp_path / "state")
    started.wait_for(rf"registered as \w+ for {project}")
    (found,) = [a for a in account.rest.items(f"/entities/{account.name}/agents") if project in a["queues"]]
    assert found["slots"] == 7, found


def test_a_queue_that_the_agent_cannot_serve_is_named(account, lanza_cli, tmp_path, project):
    account.queue(project, "slurm")
    done = lanza_cli("agent", "-q", project, "-e", account.name, "--state", tmp_path / "s", check=False, timeout=30)
    assert done.returncode == 3
    assert project in done.stderr and "slurm" in done.stderr


def test_a_code_job_in_a_container(account, project, agent, make_job, docker, api):
    """The real client inside a container, in an image with the job's environment built once."""
    account.queue(project, "docker")
    job = make_job(JOB)
    agent(project)
    item = account.ended(push(account, project, job, project=project, overrides={"run_config": {"lr": 0.5}}), 300)
    assert item["state"] == "finished", (item["reason"], logs(account, item["id"]))
    assert item["target"] == "docker"
    assert api.run(f"{account.name}/{project}/{item['run']}").summary["accuracy"] == 0.5
    second = account.ended(push(account, project, job, project=project), 120)
    assert second["state"] == "finished" and second["environment"]["cached"] is True
    assert f"Python {sys.version_info.major}" not in second["warnings"]


def test_an_image_job_in_a_container(account, project, agent, docker, wandb_cli):
    account.queue(project, "docker")
    wandb_cli("job", "create", "image", "python:3.11-slim", "-p", project, "-e", account.name, "-n", "img")
    agent(project)
    entry = ["python", "-c", "import os, sys; print('trace', os.environ['WANDB_LAUNCH_TRACE_ID']); sys.exit(4)"]
    job = f"{account.name}/{project}/img:latest"
    item = account.ended(push(account, project, job, project=project, overrides={"entry_point": entry}), 120)
    assert item["state"] == "failed" and item["exit_code"] == 4
    assert f"trace {item['id']}" in logs(account, item["id"])


def test_what_an_agent_says_is_read_at_the_server(account, stranger, project, agent, environment, lanza_cli):
    """While it runs and after it left, by everybody of its entity and nobody else, and without its key."""
    account.queue(project)
    started = agent(project)
    started.wait_for(rf"registered as \w+ for {project}")
    (found,) = [a for a in account.rest.items(f"/entities/{account.name}/agents") if project in a["queues"]]
    logs = lambda *options, **how: lanza_cli("agent", "logs", found["id"], *options, **how)  # noqa: E731
    wait_until("its first lines", lambda: f"registered as {found['name']}" in logs().stdout, 10)
    assert started.stop(12) == 0
    lines = logs("--json").stdout
    assert "leaving; 0 workload(s) live on" in lines and environment["WANDB_API_KEY"] not in lines
    assert logs("-n", "1").stdout.count("\n") == 1
    refused = logs(check=False, env={**environment, "WANDB_API_KEY": stranger.key})
    assert refused.returncode == 3 and found["id"] in refused.stderr, refused.stderr
