"""What a launch can say to a job, and what the job sees of it; the jobs use the real client."""

import json

from lanza_server import wait_until
from test_agent import make_job

# A fixture of the other file is an argument here.
# ruff: noqa: F401, F811


def push(account, queue, job, expect=201, **fields):
    path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
    answer = account.rest.call("POST", path, expect=expect, json={"job": job, **fields}).json()
    return answer["item"]["id"] if expect == 201 else answer


def log(account, item, phase="run") -> str:
    return account.rest.text(f"/items/{item}/logs", params={"phase": phase})


def test_a_long_config_reaches_the_real_client_whole(account, project, agent, make_job):
    """Longer than one variable may be: it is cut, and the client puts it together."""
    account.queue(project)
    job = make_job(
        """
        import os, wandb
        with wandb.init() as run:
            run.summary["length"] = len(run.config["text"])
            run.summary["end"] = run.config["text"][-3:]
        print("names", sorted(n for n in os.environ if n.startswith("WANDB_CONFIG")))
        """
    )
    agent(project)
    overrides = {"run_config": {"text": "ä" * 40_000 + "end"}}
    item = account.ended(push(account, project, job, project=project, overrides=overrides))
    assert item["state"] == "finished", (item["reason"], log(account, item["id"]))
    assert "'WANDB_CONFIG_0', 'WANDB_CONFIG_1'" in log(account, item["id"])
    assert "'WANDB_CONFIG'," not in log(account, item["id"])
    summary = account.run(project, item["run"])["summary"]
    assert (summary["length"], summary["end"]) == (40_003, "end")


def test_files_and_prefixes_of_a_launch_reach_the_job(account, project, agent, make_job, api):
    """A config file is patched where the job runs; what the job keeps for itself is not."""
    account.queue(project)
    source = """
        import json, pathlib
        import wandb
        from wandb.sdk import launch

        pathlib.Path("settings.json").write_text(json.dumps({"data": {"rows": 10, "path": "x"}, "seed": 1}))
        launch.manage_config_file("settings.json", include=["data"], exclude=["data.path"])
        with wandb.init(config={"lr": 0.5, "hidden": 1}) as run:
            launch.manage_wandb_config(exclude=["hidden"])
            read = json.loads(pathlib.Path("settings.json").read_text())
            run.summary["rows"] = read["data"]["rows"]
            run.summary["kept"] = [read["data"]["path"], read["seed"]]
            run.summary["lr"] = run.config.lr
            run.summary["loaded"] = launch.load_wandb_config().get("lr")
    """
    job = make_job(source)
    agent(project)
    overrides = {"run_config": {"lr": 0.25}, "files": {"settings.json": {"data": {"rows": 77}}}}
    item = account.ended(push(account, project, job, project=project, overrides=overrides))
    assert item["state"] == "finished", (item["reason"], log(account, item["id"]))
    summary = account.run(project, item["run"])["summary"]
    assert summary["rows"] == 77 and list(summary["kept"]) == ["x", 1]
    assert summary["lr"] == 0.25 and summary["loaded"] == 0.25


def test_a_deleted_code_artifact_is_named(account, project, agent, make_job, api):
    account.queue(project)
    job = make_job("print('never')\n", requirements="")
    source = api.job(job)._job_info["source"]["artifact"]
    code = next(a for a in api.artifacts("code", f"{account.name}/{project}/code-worker") if a.id in source)
    code.delete(delete_aliases=True)
    agent(project)
    ended = account.ended(push(account, project, job, project=project))
    assert ended["state"] == "failed" and ended["phase"] == "fetch", ended["reason"]
    assert "artifact" in ended["reason"]["message"], ended["reason"]
    assert code.id in ended["reason"]["message"] or "code-worker" in ended["reason"]["message"], ended["reason"]
    assert "deleted" in ended["reason"]["message"] + ended["reason"].get("hint", ""), ended["reason"]


def test_a_job_that_cannot_start_says_why(account, project, agent, api, tmp_path):
    """No command in the job and none in the launch; an image where there are no containers."""
    import wandb
    from wandb.sdk.artifacts._internal_artifact import InternalArtifact

    account.queue(project)
    with wandb.init(entity=account.name, project=project, dir=tmp_path) as run:
        code = wandb.Artifact("code-bare", type="code")
        with code.new_file("job.py") as file:
            file.write("print('given by the launch')\n")
        code = run.log_artifact(code).wait()
        artifact = InternalArtifact("bare", "job")
        with artifact.new_file("wandb-job.json") as file:
            address = f"wandb-artifact://_id/{code.id}"
            body = {"_version": "v0", "source_type": "artifact", "source": {"artifact": address}, "runtime": ""}
            json.dump({**body, "input_types": {}, "output_types": {}}, file)
        run.log_artifact(artifact).wait()
    job = f"{account.name}/{project}/bare:latest"
    agent(project)
    ended = account.ended(push(account, project, job, project=project))
    assert ended["state"] == "failed" and "entry point" in ended["reason"]["message"], ended["reason"]
    given = push(account, project, job, project=project, overrides={"entry_point": ["python", "job.py"]})
    assert account.ended(given)["exit_code"] == 0 and "given by the launch" in log(account, given)
    path = f"/api/v1/entities/{account.name}/queues/{project}/items"
    body = {"docker": {"docker_image": "some/image:1"}, "project": project}
    answer = account.rest.session.post(account.rest.root + path, json=body, timeout=60)
    if answer.status_code == 201:
        ended = account.ended(answer.json()["item"]["id"])
        message = ended["reason"]["message"]
    else:
        message = answer.json()["message"]
    assert "some/image:1" in message and "process" in message, message


def test_an_agent_in_secure_mode_runs_the_jobs_own_command_only(account, project, agent, make_job, tmp_path):
    config = tmp_path / "launch-config.yaml"
    config.write_text("secure_mode: true\n")
    account.queue(project)
    job = make_job("print('as the job has it')\n", requirements="")
    agent(project, options=("-c", config))
    refused = account.ended(
        push(account, project, job, project=project, overrides={"entry_point": ["python", "-c", "1"]})
    )
    assert refused["reason"]["code"] == "config_refused" and "secure mode" in refused["reason"]["message"]
    plain = account.ended(push(account, project, job, project=project, overrides={"args": ["--fast"]}))
    assert plain["exit_code"] == 0 and "as the job has it" in log(account, plain["id"])


def test_a_commands_bare_script_quotes_and_output_without_a_buffer(account, project, agent, make_job):
    """A bare script is run by Python; words with blanks survive; what is printed is seen at once."""
    account.queue(project)
    job = make_job(
        """
        import sys, time
        print("words", sys.argv[1:])
        time.sleep(600)
        """,
        requirements="",
    )
    agent(project)
    overrides = {"entry_point": ["train.py"], "args": ["a b", "$HOME", "'q'", ";id"]}
    item = push(account, project, job, project=project, overrides=overrides)
    wait_until("the line", lambda: "words ['a b', '$HOME', \"'q'\", ';id']" in log(account, item), 90)
    account.rest.post(f"/items/{item}/stop", {"grace_seconds": 1})
    assert account.ended(item, 30)["state"] == "stopped"


def test_template_variables_win_over_a_config_of_the_launch(account, project, make_job):
    """As the client has it: who fills templates sends no config of the target beside them."""
    templates = {"size": {"schema": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1}}}
    account.queue(project, "docker", config={"cpus": "{{size}}", "memory": "1g"}, templates=templates)
    job = make_job("print(1)\n", requirements="")
    fields = {"template_variables": {"size": 3}, "resource_args": {"docker": {"memory": "2g"}}}
    item = account.item(push(account, project, job, project=project, **fields))
    assert item["config"]["effective"] == {"cpus": 3, "memory": "1g"}
    assert item["config"]["item"] == {} and item["template_variables"] == {"size": 3}
    assert any("resource_args" in warning for warning in item["warnings"]), item["warnings"]
    for wrong in ({"size": 9}, {"size": "two"}, {"colour": 1}):
        refused = push(account, project, job, expect=422, project=project, template_variables=wrong)
        assert refused["code"] == "template_invalid" and next(iter(wrong)) in refused["message"], refused
