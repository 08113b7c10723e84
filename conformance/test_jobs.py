"""`wandb job create code|git|image`, `list`, `describe`, `Api().job`, and jobs that appear by themselves."""

import json
import re
import sys
from pathlib import Path

import pytest

from lanza_server import wait_until

SCRIPT = """
    import wandb

    with wandb.init() as run:
        run.log({"ok": 1})
"""
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def jobs(account, project) -> dict:
    return {j["name"]: j for j in account.rest.items(f"/entities/{account.name}/projects/{project}/jobs")}


def version(account, project, name, number="v0") -> dict:
    path = f"/entities/{account.name}/projects/{project}/jobs/{name}/versions/{number}"
    return account.rest.get(path)["version"]


def test_a_code_job_is_made_listed_described_and_read_back(account, project, api, wandb_cli, code_folder, tmp_path):
    folder = code_folder(SCRIPT, "wandb==0.31.0\nrequests\n")
    create = ("job", "create", "code", folder, "-p", project, "-e", account.name, "-n", "trainer")
    made = wandb_cli(*create, "-a", "blessed", "-d", "what it does", "-E", "python train.py")
    assert "Created job" in made.stdout, made.stdout

    job = jobs(account, project)["trainer"]
    assert job["versions"] == 1
    first = version(account, project, "trainer")
    assert first["reference"] == f"{account.name}/{project}/trainer:v0"
    assert first["source_type"] == "code"
    assert first["entrypoint"] == ["python", "train.py"]
    assert first["python"] == THIS_PYTHON
    assert "blessed" in first["aliases"] and "latest" in first["aliases"]
    assert "wandb==0.31.0" in first["requirements"]
    runs = account.rest.items(f"/entities/{account.name}/projects/{project}/runs")
    assert runs == [], "the hidden run of the command is deleted"

    assert (
        "No changes detected"
        in wandb_cli(*create, "-a", "blessed", "-d", "what it does", "-E", "python train.py").stdout
    )
    (folder / "train.py").write_text("print('changed')\n")
    assert "Updated" in wandb_cli(*create, "-E", "python train.py").stdout
    assert jobs(account, project)["trainer"]["versions"] == 2

    listed = wandb_cli("job", "list", "-p", project, "-e", account.name).stdout
    line = next(line for line in listed.splitlines() if "trainer" in line)
    assert {"v0", "v1", "latest", "blessed"} <= set(re.split(r"[ ,]+", line)), line
    described = wandb_cli("job", "describe", f"{account.name}/{project}/trainer:v0").stdout
    assert "source_type: artifact" in described and "train.py" in described, described
    missing = wandb_cli("job", "describe", f"{account.name}/{project}/absent:latest", check=False)
    assert "not found" in missing.stdout

    read = api.job(f"{account.name}/{project}/trainer:blessed", path=str(tmp_path / "job"))
    source = json.loads((tmp_path / "job" / "wandb-job.json").read_text())
    assert source["source_type"] == "artifact"
    assert (tmp_path / "job" / "requirements.frozen.txt").read_text().split() == ["wandb==0.31.0", "requests"]
    code = read._get_code_artifact(source["source"]["artifact"])
    code.download(root=str(tmp_path / "code"))
    assert "wandb.init" in Path(tmp_path / "code" / "train.py").read_text()


def test_a_git_job_names_its_commit(account, project, environment, wandb_cli, git_server):
    commit = git_server.repository("gitjob", {"train.py": "print('hi')\n", "requirements.txt": "wandb==0.31.0\n"})
    url = git_server.url("gitjob")
    wandb_cli(
        "job", "create", "git", url, "-p", project, "-e", account.name, "-n", "from-git", "-E", "python train.py",
        env={**environment, **git_server.environment},
    )  # fmt: skip
    made = version(account, project, "from-git")
    assert made["source_type"] == "git"
    assert made["source"]["git"] == {"remote": url, "commit": commit}
    assert made["entrypoint"] == ["python", "train.py"]
    assert made["requirements"] == [], "the client leaves them in the repository"


def test_an_image_job_keeps_its_tag_as_alias_unless_it_looks_like_a_version(account, project, wandb_cli):
    base = ("job", "create", "image", "-p", project, "-e", account.name)
    wandb_cli(*base[:3], "local/tool:1.2", *base[3:], "-n", "tool")
    made = version(account, project, "tool")
    assert made["source_type"] == "image"
    assert made["source"]["image"] == "local/tool:1.2"
    assert set(made["aliases"]) >= {"latest", "1.2"}
    wandb_cli(*base[:3], "local/other:v7", *base[3:])
    name = next(name for name in jobs(account, project) if name.startswith("job-"))
    assert name == "job-local_other"
    assert set(version(account, project, name)["aliases"]) == {"latest"}


def test_a_schema_is_kept_with_the_job(account, project, wandb_cli, code_folder, tmp_path):
    schema = {"type": "object", "properties": {"lr": {"type": "number", "minimum": 0, "maximum": 1}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    wandb_cli(
        "job", "create", "code", code_folder(SCRIPT), "-p", project, "-e", account.name, "-n", "typed",
        "-E", "python train.py", "-r", "3.10", "--schema", tmp_path / "schema.json",
    )  # fmt: skip
    made = version(account, project, "typed")
    assert made["metadata"]["input_schemas"]["@wandb.config"] == schema
    assert made["python"] == "3.10"


def test_a_job_of_another_person_is_not_found(account, stranger, project, wandb_cli, code_folder):
    folder = code_folder(SCRIPT)
    wandb_cli("job", "create", "code", folder, "-p", project, "-e", account.name, "-n", "mine", "-E", "python train.py")
    path = f"/entities/{account.name}/projects/{project}/jobs"
    stranger.rest.refused("GET", path, 404)
    stranger.rest.refused("GET", f"{path}/mine/versions/v0", 404)
    answer = stranger.rest.graphql(
        "query Q($e: String, $p: String) { project(entityName: $e, name: $p) { id } }",
        {"e": account.name, "p": project},
    )
    assert answer["data"]["project"] is None


@pytest.mark.parametrize("maker", ["server", "client"])
def test_a_finished_run_with_code_becomes_a_job(account, project, environment, script, api, maker):
    """By the client where its own maker is switched on, else by the server, under the same name."""
    source = f"""
        import wandb
        with wandb.init(project={project!r}, id="maker", config={{"lr": 0.5, "epochs": 3, "name": "x"}}) as run:
            run.log_code(".", name="mycode")
            run.log({{"loss": 0.1}})
    """
    env = {**environment, "WANDB_DISABLE_JOB_CREATION": "false" if maker == "client" else "true"}
    script(source, env=env)
    made = wait_until("the job", lambda: jobs(account, project), 30)
    assert list(made) == ["job-mycode"]
    assert made["job-mycode"]["versions"] == 1
    found = version(account, project, "job-mycode")
    assert found["source_type"] == "code"
    assert found["entrypoint"][-1] == "train.py"
    assert found["entrypoint"][0] in ("python", "python3", f"python{THIS_PYTHON}"), (
        "the client's own form is normalised"
    )
    assert found["python"] == THIS_PYTHON
    assert any(line.startswith("wandb==") for line in found["requirements"])
    assert account.run(project, "maker")["job"] == f"{account.name}/{project}/job-mycode:v0"
    read = api.job(f"{account.name}/{project}/job-mycode:latest")
    assert read._input_types.params["type_map"].keys() >= {"lr", "epochs", "name"}
    logged = [a.type for a in api.run(f"{account.name}/{project}/maker").logged_artifacts()]
    if maker == "server":
        assert "job" not in logged, "scripts count what a run logged"


def test_equal_runs_make_no_second_version(account, project, environment, script):
    source = f"""
        import wandb
        with wandb.init(project={project!r}, config={{"lr": 0.5}}) as run:
            run.log_code(".", name="stable")
    """
    env = {**environment, "WANDB_DISABLE_JOB_CREATION": "true"}
    for _ in range(2):
        script(source, env=env)

    def both_are_linked():
        runs = account.rest.items(f"/entities/{account.name}/projects/{project}/runs")
        return len(runs) == 2 and all(run["job"] for run in runs)

    wait_until("both runs to name their job", both_are_linked, 30)
    assert jobs(account, project)["job-stable"]["versions"] == 1


def test_a_run_without_a_source_makes_no_job(account, project, tmp_path):
    import wandb

    with wandb.init(project=project, id="plain", dir=tmp_path) as run:
        run.log({"x": 1})
    assert account.run(project, "plain")["state"] == "finished"
    assert jobs(account, project) == {}
    assert account.run(project, "plain")["job"] is None
