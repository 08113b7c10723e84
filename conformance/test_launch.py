"""Queues made by the client and launches pushed by it, read through the native API; and refused pushes."""

import json

import pytest


@pytest.fixture
def job(account, project, wandb_cli, code_folder) -> str:
    """A code job that is never run: these tests look at the queue only."""
    folder = code_folder("import wandb\nwandb.init().finish()\n")
    wandb_cli(
        "job", "create", "code", folder, "-p", project, "-e", account.name, "-n", "pushed", "-E", "python train.py"
    )
    return f"{account.name}/{project}/pushed:latest"


def items(account, queue) -> list:
    return account.rest.items("/items", entity=account.name, queue=queue)


def test_queues_made_by_the_client(account, api, project):
    made = api.create_run_queue(
        name=f"cq-{project}", type="kubernetes", config={"spec": {"x": "{{size}}"}},
        template_variables={"size": {"schema": {"type": "integer", "minimum": 1, "default": 2}}},
        prioritization_mode="V0",
    )  # fmt: skip
    shown = account.rest.get(f"/entities/{account.name}/queues/cq-{project}")["queue"]
    assert shown["target"] == "kubernetes"
    assert shown["config"] == {"spec": {"x": "{{size}}"}}
    assert shown["templates"]["size"]["minimum"] == 1
    assert shown["priority"] is True
    assert shown["created_by"] == account.name

    read = api.run_queue(account.name, f"cq-{project}")
    assert read.id == shown["id"] == made.id
    assert read.type == "kubernetes"
    assert read.prioritization_mode == "V0"
    assert read.access == "PROJECT"
    assert read.default_resource_config == {"resource_args": {"kubernetes": {"spec": {"x": "{{size}}"}}}}
    assert [v["name"] for v in read.template_variables] == ["size"]
    assert read.items == []

    with pytest.raises(Exception, match="(?i)exist|failed"):
        api.create_run_queue(name=f"cq-{project}", type="kubernetes")

    api.upsert_run_queue(
        name=f"cq-{project}", resource_type="local-process", resource_config={},
        external_links={"wiki": "https://example.com/"},
    )  # fmt: skip
    changed = account.rest.get(f"/entities/{account.name}/queues/cq-{project}")["queue"]
    assert changed["id"] == shown["id"]
    assert changed["target"] == "process"
    assert changed["priority"] is False
    assert changed["external_links"] == {"links": [{"label": "wiki", "url": "https://example.com/"}]}
    assert api.run_queue(account.name, f"cq-{project}").prioritization_mode == "DISABLED"

    read.delete()
    account.rest.refused("GET", f"/entities/{account.name}/queues/cq-{project}", 404)


def test_a_queue_of_our_own_reads_well_by_the_client(account, api, project):
    account.queue(f"own-{project}", "process")
    read = api.run_queue(account.name, f"own-{project}")
    assert read.type == "local-process"
    assert read.prioritization_mode == "V0"
    assert read.default_resource_config == {"resource_args": {"local-process": {}}}


def test_launch_of_a_job_by_command(account, project, job, wandb_cli):
    account.queue("by-command")
    done = wandb_cli(
        "launch", "-q", "by-command", "-j", job, "-p", project, "-e", account.name, "--name", "named",
        "--priority", "high",
        "-c", json.dumps({"overrides": {"run_config": {"lr": 0.5}, "args": ["--fast"]}}),
    )  # fmt: skip
    assert "Added run to queue by-command" in done.stdout
    (item,) = items(account, "by-command")
    assert item["state"] == "queued"
    assert item["job"] == f"{account.name}/{project}/pushed:v0", "resolved when it is pushed"
    assert item["author"] == account.name
    assert item["priority"] == "high"
    assert item["target"] == "process"
    assert item["project"] == project
    assert item["name"] == "named"
    assert item["overrides"]["run_config"] == {"lr": 0.5}
    assert item["overrides"]["args"] == ["--fast"]
    why = account.item(item["id"])["why"]
    assert why["rule"] == "no_agent" and why["position"] == 1 and why["message"]


def test_launch_of_a_folder_makes_the_job_first(account, project, wandb_cli, code_folder):
    account.queue("by-folder")
    folder = code_folder("import wandb\nwandb.init().finish()\n")
    wandb_cli(
        "launch", "-q", "by-folder", "-u", folder, "-E", "python train.py", "-p", project, "-e", account.name,
        "--job-name", "from-folder",
    )  # fmt: skip
    (item,) = items(account, "by-folder")
    assert item["job"] == f"{account.name}/{project}/from-folder:v0"


def test_launch_of_a_git_address_makes_the_job_and_runs_its_commit(
    account, project, wandb_cli, agent, git_server, environment, api
):
    name = f"launched-{project}"
    train = "import wandb\nwith wandb.init() as run:\n    run.log({'lr_seen': run.config['lr']})\n"
    commit = git_server.repository(name, {"train.py": train, "requirements.txt": "wandb==0.31.0\n"})
    env = {**environment, **git_server.environment}
    account.queue(project)
    wandb_cli(
        "launch", "-q", project, "-u", git_server.url(name), "-g", commit, "-E", "python train.py", "-p", project,
        "-e", account.name, "--job-name", "from-git", "-c", json.dumps({"overrides": {"run_config": {"lr": 0.25}}}),
        env=env,
    )  # fmt: skip
    (item,) = items(account, project)
    assert item["job"] == f"{account.name}/{project}/from-git:v0"
    agent(project, env=env)
    ended = account.ended(item["id"])
    assert ended["state"] == "finished", ended["reason"]
    assert ended["source"]["commit"] == commit
    run = api.run(f"{account.name}/{project}/{ended['run']}")
    assert run.summary["lr_seen"] == 0.25 and run.config["lr"] == 0.25


def test_without_a_queue_the_client_runs_it_here_and_now(account, project, wandb_cli, code_folder):
    folder = code_folder(
        "import sys, wandb\n"
        "with wandb.init() as run:\n    run.log({'lr_seen': run.config['lr']})\n"
        "sys.exit(3 if run.config['lr'] > 1 else 0)\n"
    )
    where = ("-p", project, "-e", account.name)
    # Without a base image the client would build one, for a plain process too.
    base = ("-B", "python:3.11-slim")
    wandb_cli("job", "create", "code", folder, *where, *base, "-n", "here", "-E", "python train.py")
    before = {item["id"] for item in account.rest.items("/items", entity=account.name)}
    runs = f"/entities/{account.name}/projects/{project}/runs"

    def launch(lr: float, check: bool) -> int:
        config = json.dumps({"overrides": {"run_config": {"lr": lr}}})
        job = f"{account.name}/{project}/here:latest"
        return wandb_cli("launch", "-j", job, "-r", "local-process", *where, "-c", config, check=check).returncode

    launch(0.5, check=True)
    (run,) = account.rest.items(runs)
    assert run["state"] == "finished" and run["summary"]["lr_seen"] == 0.5 and run["item"] is None
    assert run["job"] == f"{account.name}/{project}/here:v0"
    assert launch(2, check=False) != 0, "it ends as its run does"
    assert {item["id"] for item in account.rest.items("/items", entity=account.name)} == before


def test_launch_of_an_image(account, project, wandb_cli):
    account.queue("by-image", "docker")
    wandb_cli("launch", "-q", "by-image", "-d", "local/tool:1.2", "-p", project, "-e", account.name)
    (item,) = items(account, "by-image")
    assert item["job"] is None
    assert item["target"] == "docker"
    assert item["source"] == {"kind": "image", "commit": None, "image": "local/tool:1.2"}


def test_template_variables_and_resource_args_keep_their_layers(account, project, job, api, wandb_cli):
    api.upsert_run_queue(
        name="templated", resource_type="local-container",
        resource_config={"cpus": "{{cpus}}", "env": ["FROM_QUEUE=1"]},
        template_variables={"cpus": {"schema": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1}}},
    )  # fmt: skip
    base = ("launch", "-q", "templated", "-j", job, "-p", project, "-e", account.name)
    wandb_cli(*base, "--set-var", "cpus=3")
    wandb_cli(*base)
    first, second = sorted(items(account, "templated"), key=lambda item: item["created_at"])
    assert first["config"]["effective"]["cpus"] == 3
    assert first["template_variables"] == {"cpus": 3}
    assert second["config"]["effective"]["cpus"] == 1
    assert second["config"]["effective"]["env"] == ["FROM_QUEUE=1"]
    too_much = wandb_cli(*base, "--set-var", "cpus=9", check=False)
    assert too_much.returncode != 0
    assert "cpus" in too_much.stdout and "4" in too_much.stdout, too_much.stdout
    unknown = wandb_cli(*base, "--set-var", "gpus=1", check=False)
    assert "does not support overriding gpus" in unknown.stdout + str(unknown.returncode)
    assert len(items(account, "templated")) == 2


def test_launch_add_and_the_queued_run(account, project, job, api):
    from wandb.sdk.launch import launch_add

    account.queue("added")
    queued = launch_add(job=job, queue_name="added", project=project, entity=account.name, priority=0)
    assert queued.state == "pending"
    assert [item["id"] for item in items(account, "added")] == [queued.id]
    assert account.item(queued.id)["priority"] == "critical"
    assert [q.id for q in api.run_queue(account.name, "added").items] == [queued.id]
    queued.delete()
    assert items(account, "added") == [] or items(account, "added")[0]["state"] == "stopped"
    with pytest.raises(ValueError, match="Could not find"):
        _ = queued.state


def test_the_default_queue_is_made_when_it_is_first_used(account, server, project, environment, wandb_cli):
    newcomer = server.user("newcomer")
    env = {**environment, "WANDB_API_KEY": newcomer.key}
    done = wandb_cli("launch", "-q", "default", "-d", "local/tool:1", "-p", project, "-e", "newcomer", env=env)
    assert "creating one" in done.stdout
    queue = newcomer.rest.get("/entities/newcomer/queues/default")["queue"]
    assert queue["target"] is None
    (item,) = newcomer.rest.items("/items", entity="newcomer", queue="default")
    assert item["target"] == "docker", "a queue without a resource and an item without one: docker"


def test_a_missing_queue_is_said_by_both_doors(account, project, job, wandb_cli):
    done = wandb_cli("launch", "-q", "nowhere", "-j", job, "-p", project, "-e", account.name, check=False)
    assert done.returncode != 0
    assert "Queue not found" in done.stdout
    path = f"/entities/{account.name}/queues/nowhere/items"
    refused = account.rest.refused("POST", path, 404, json={"job": job})
    assert refused["code"] == "queue_not_found"


def test_a_job_that_does_not_exist_is_taken_with_a_warning(account, project, wandb_cli):
    account.queue("wishful")
    body = {"job": f"{account.name}/{project}/absent:latest", "project": project}
    made = account.rest.call(
        "POST", f"/api/v1/entities/{account.name}/queues/wishful/items", expect=201, json=body
    ).json()
    assert made["item"]["state"] == "queued"
    assert any("absent" in warning for warning in made["item"]["warnings"] + made.get("warnings", []))
    done = wandb_cli(
        "launch",
        "-q",
        "wishful",
        "-j",
        f"{account.name}/{project}/absent:v3",
        "-p",
        project,
        "-e",
        account.name,
        check=False,
    )
    assert "Unable to fetch job with name" in done.stdout
    assert len(items(account, "wishful")) == 2


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "job"),
        ({"job": "a/b/c:v0", "docker": {"docker_image": "x"}}, "job"),
        ({"job": "a//b:v0"}, "job"),
        ({"job": 7}, "job"),
        ({"docker": {"docker_image": "x"}, "unheard_of": 1}, "unheard_of"),
        ({"docker": {"docker_image": "x"}, "author": "root"}, "author"),
        ({"docker": {"docker_image": "x"}, "_wandb_api_key": "k"}, "_wandb_api_key"),
        ({"docker": {"docker_image": "x"}, "priority": "urgent"}, "priority"),
        ({"docker": {"docker_image": "x"}, "overrides": {"args": "one"}}, "args"),
        ({"docker": {"docker_image": "x"}, "resource": "mainframe"}, "mainframe"),
        ({"docker": {"docker_image": "x"}, "resource": "kubernetes"}, "kubernetes"),
    ],
)
def test_broken_specs_are_refused_by_name(account, project, body, word):
    account.queue(project, "docker")
    path = f"/api/v1/entities/{account.name}/queues/{project}/items"
    answer = account.rest.call("POST", path, expect=422, json=body).json()
    assert word in json.dumps(answer), answer
    assert items(account, project) == []


def test_both_push_mutations_refuse_the_same(account, api):
    account.queue("twin", "docker")
    queue = api.run_queue(account.name, "twin")
    spec = json.dumps({"docker": {}, "project": "nothing-to-run"})
    by_name = account.rest.session.post(
        f"{account.rest.root}/graphql",
        json={
            "query": """mutation M($spec: JSONString!, $e: String!) { pushToRunQueueByName(
                input: {entityName: $e, projectName: "model-registry", queueName: "twin", runSpec: $spec}
            ) { runQueueItemId } }""",
            "variables": {"spec": spec, "e": account.name},
        },
    ).json()
    by_id = account.rest.session.post(
        f"{account.rest.root}/graphql",
        json={
            "query": """mutation M($spec: JSONString!, $q: ID!) {
                pushToRunQueue(input: {queueID: $q, runSpec: $spec}) { runQueueItemId } }""",
            "variables": {"spec": spec, "q": queue.id},
        },
    ).json()
    assert by_name["errors"][0]["message"] == by_id["errors"][0]["message"]
    assert "job" in by_id["errors"][0]["message"]
    assert items(account, "twin") == []
