"""What a job takes: schemas and types from every side that gives them, and launches that do not fit, at every door."""

import json

import pytest

from lanza_server import wait_until

CLIENT_MAKES_JOBS = {"WANDB_DISABLE_JOB_CREATION": "false"}
SCHEMA = {
    "type": "object",
    "properties": {
        "lr": {"type": "number", "title": "Rate", "description": "step size", "minimum": 0, "maximum": 1},
        "epochs": {"type": "integer", "exclusiveMinimum": 0, "default": 3},
        "kind": {"type": "string", "enum": ["sgd", "adam"]},
        "layers": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 2},
        "opt": {"type": "object", "properties": {"beta": {"type": "number", "maximum": 1}}, "required": ["beta"]},
    },
    "required": ["lr"],
}
BAD = {"lr": 5, "epochs": 1.5, "kind": "sdg", "layers": ["a", "c"], "opt": {}}
REFUSALS = {
    "overrides.run_config.lr": "maximum",
    "overrides.run_config.epochs": "type",
    "overrides.run_config.kind": "enum",
    "overrides.run_config.layers[1]": "enum",
    "overrides.run_config.opt.beta": "required",
}


@pytest.fixture
def typed(account, project, lanza_cli, code_folder, tmp_path) -> str:
    account.queue(project)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    folder = code_folder("import wandb\nwandb.init().finish()\n")
    made = lanza_cli(
        "job", "create", "code", folder, "-n", "typed", "-E", "train.py", "-p", project,
        "--schema", tmp_path / "schema.json",
    )  # fmt: skip
    return made.stdout.strip()


def items(account, queue) -> list:
    return account.rest.items("/items", entity=account.name, queue=queue)


def versions(account, project, name):
    return account.rest.get(f"/entities/{account.name}/projects/{project}/jobs/{name}/versions/latest")["version"]


def test_rest_refuses_each_field_with_code_path_and_sentence(account, project, typed):
    path = f"/entities/{account.name}/queues/{project}/items"
    launch = {"job": typed, "project": project, "overrides": {"run_config": BAD}}
    body = account.rest.refused("POST", path, 422, json=launch)
    assert body["code"] == "input_invalid"
    assert {f["path"]: f["code"] for f in body["fields"]} == REFUSALS
    sentence = next(f["message"] for f in body["fields"] if f["path"].endswith(".lr"))
    assert sentence == "`overrides.run_config.lr` must be at most 1, and is 5."
    plan = account.rest.refused("POST", f"{path}?plan=true", 422, json=launch)
    assert plan["fields"] == body["fields"], "a plan says the same"
    missing = account.rest.refused("POST", path, 422, json={"job": typed, "project": project})
    assert [f["code"] for f in missing["fields"]] == ["required"]
    assert items(account, project) == []
    good = {"lr": 1, "epochs": 2.0, "kind": "adam", "layers": [], "opt": {"beta": 0.5}, "unknown": "is fine"}
    account.rest.post(path, {"job": typed, "project": project, "overrides": {"run_config": good}})
    (item,) = items(account, project)
    assert item["overrides"]["run_config"] == good


def test_the_clients_commands_are_refused_too(account, project, typed, wandb_cli, lanza_cli):
    config = json.dumps({"overrides": {"run_config": BAD}})
    stock = wandb_cli(
        "launch", "-q", project, "-j", typed, "-p", project, "-e", account.name, "-c", config, check=False
    )
    assert stock.returncode != 0 or "rror" in stock.stdout, stock.stdout
    own = lanza_cli("launch", "-q", project, "-j", typed, "-p", project, "--set", "lr=5", check=False)
    assert own.returncode == 3
    assert "`overrides.run_config.lr` must be at most 1, and is 5" in own.stderr
    assert "lanza explain LZ0030" in own.stderr
    from wandb.sdk.launch import launch_add

    with pytest.raises(Exception):  # noqa: B017  (the client has several, none of them documented)
        launch_add(
            job=typed, queue_name=project, project=project, entity=account.name,
            config={"overrides": {"run_config": BAD}},
        )  # fmt: skip
    assert items(account, project) == [], "nothing was queued"


def test_the_wire_names_every_field(account, project, typed):
    spec = json.dumps({"job": typed, "project": project, "overrides": {"run_config": BAD}})
    answer = account.rest.call(
        "POST", "/graphql", expect=400,
        json={
            "query": "mutation M($e: String!, $q: String!, $s: JSONString!) { pushToRunQueueByName(input: "
            '{entityName: $e, projectName: "model-registry", queueName: $q, runSpec: $s}) { runQueueItemId } }',
            "variables": {"e": account.name, "q": project, "s": spec},
        },
    ).json()  # fmt: skip
    message = answer["errors"][0]["message"]
    for path in REFUSALS:
        assert f"`{path}`" in message


def test_managed_inputs_of_the_client(account, project, environment, script, lanza_cli, tmp_path):
    """A Pydantic model, prefixes, and a config file, as documented; the client makes the job."""
    (tmp_path / "settings.yaml").write_text("data:\n  rows: 10\n  path: x\nseed: 1\n")
    source = f"""
        import wandb
        from typing import Literal, Optional
        from pydantic import BaseModel, Field
        from wandb.sdk import launch

        class Optimiser(BaseModel):
            kind: Literal["sgd", "adam"] = "sgd"
            beta: float = Field(0.9, gt=0, lt=1)

        class Inputs(BaseModel):
            lr: float = Field(description="step size", ge=0, le=1)
            epochs: int = 3
            note: Optional[str] = None
            opt: Optimiser = Optimiser()

        launch.manage_config_file("settings.yaml", include=["data"], exclude=["data.path"])
        config = {{"lr": 0.5, "epochs": 2, "note": None, "opt": {{"kind": "adam", "beta": 0.5}}, "hidden": 1}}
        with wandb.init(project={project!r}, id="managed", config=config) as run:
            launch.manage_wandb_config(exclude=["hidden"], schema=Inputs)
            run.log_code(".", name="managed")
            run.log({{"loss": 1}})
    """
    script(source, env={**environment, **CLIENT_MAKES_JOBS})
    wait_until("the job", lambda: account.run(project, "managed")["job"], 30)
    version = versions(account, project, "job-managed")
    types = version["metadata"]["input_types"]
    assert "hidden" not in types["@wandb.config"]["params"]["type_map"]
    assert list(types["files"]["settings.yaml"]["params"]["type_map"]["data"]["params"]["type_map"]) == ["rows"]
    inputs = version["inputs"]
    assert inputs["from"] == "schema"
    lr = inputs["config"]["properties"]["lr"]
    assert (lr["minimum"], lr["maximum"], lr["description"], lr["default"]) == (0, 1, "step size", 0.5)
    rows = inputs["files"]["settings.yaml"]["properties"]["data"]["properties"]["rows"]
    assert rows == {"type": "number", "default": 10}, "the value of the file that the run had"
    assert "seed" not in json.dumps(inputs["files"]), "what is no input is not shown"
    shown = json.loads(lanza_cli("job", "describe", "job-managed", "-p", project, "--version", "v0", "--json").stdout)
    assert rows in shown["version"]["inputs"]["files"]["settings.yaml"]["properties"]["data"]["properties"].values()

    account.queue(project)
    path = f"/entities/{account.name}/queues/{project}/items"

    def launch(run_config=None, files=None):
        overrides = {"run_config": run_config or {}, "files": files or {}}
        return {"job": f"{account.name}/{project}/job-managed", "project": project, "overrides": overrides}

    bad = launch(
        {"lr": 2, "epochs": "many", "opt": {"kind": "sdg", "beta": 1}}, {"settings.yaml": {"data": {"rows": "ten"}}}
    )
    body = account.rest.refused("POST", path, 422, json=bad)
    assert {f["path"]: f["code"] for f in body["fields"]} == {
        "overrides.run_config.lr": "maximum",
        "overrides.run_config.epochs": "type",
        "overrides.run_config.opt.kind": "enum",
        "overrides.run_config.opt.beta": "exclusiveMaximum",
        "overrides.files.settings.yaml.data.rows": "type",
    }
    account.rest.post(path, launch())
    account.rest.post(path, launch({"note": "x", "lr": 1}, {"settings.yaml": {"data": {"rows": 3}}}))
    text = lanza_cli("job", "describe", "job-managed", "-p", project).stdout
    assert "lr: number, at least 0, at most 1, default 0.5  (step size)" in text, text


def test_only_included_prefixes_are_inputs(account, project, environment, script):
    source = f"""
        import wandb
        from wandb.sdk import launch
        with wandb.init(project={project!r}, id="part", config={{"a": {{"x": 1, "y": 2}}, "b.c": 3, "d": 4}}) as run:
            launch.manage_wandb_config(include=["a", r"b\\.c"], exclude=["a.y"])
            run.log_code(".", name="part")
    """
    script(source, env={**environment, **CLIENT_MAKES_JOBS})
    wait_until("the job", lambda: account.run(project, "part")["job"], 30)
    config = versions(account, project, "job-part")["inputs"]["config"]["properties"]
    assert "d" not in config and "y" not in config["a"]["properties"]
    assert config["a"]["properties"]["x"] == {"type": "number", "default": 1}


def test_types_of_the_first_run_are_checked(account, project, environment, script):
    source = f"""
        import wandb
        config = {{"lr": 0.5, "name": "x", "flag": True, "layers": [1, 2], "opt": {{"beta": 1}}, "none": None}}
        with wandb.init(project={project!r}, id="first", config=config) as run:
            run.log_code(".", name="first")
    """
    script(source, env={**environment, "WANDB_DISABLE_JOB_CREATION": "true"})
    wait_until("the job", lambda: account.run(project, "first")["job"], 30)
    account.queue(project)
    path = f"/entities/{account.name}/queues/{project}/items"

    def launch(run_config):
        return {
            "job": f"{account.name}/{project}/job-first",
            "project": project,
            "overrides": {"run_config": run_config},
        }

    bad = {"lr": "x", "name": 1, "flag": "yes", "layers": [1, "x"], "opt": {"beta": []}}
    body = account.rest.refused("POST", path, 422, json=launch(bad))
    assert [f["path"].removeprefix("overrides.run_config.") for f in body["fields"]] == [
        "lr", "name", "flag", "layers[1]", "opt.beta",
    ]  # fmt: skip
    account.rest.post(path, launch({"lr": 1, "layers": [], "none": {"now": "something"}, "more": 1, "name": None}))
