"""The client's own job maker, switched on as `lanza dev` tells it to be, and the commands of the documentation."""

import os
import re
import shlex
import subprocess
import sys
import textwrap

import pytest

from lanza_server import wait_until

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def makes_jobs(environment) -> dict:
    return {**environment, "WANDB_DISABLE_JOB_CREATION": "false"}


def jobs(account, project) -> dict:
    found = account.rest.items(f"/entities/{account.name}/projects/{project}/jobs")
    return {j["name"]: j["latest"] for j in found}


def made(account, project) -> dict:
    return wait_until("the job", lambda: jobs(account, project), 30)


def repository(folder, remote) -> str:
    """Makes the folder a repository with one commit and a remote; returns the commit."""

    def git(*words):
        command = ("git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    git("remote", "add", "origin", remote)
    git("add", "train.py")
    git("commit", "-q", "-m", "Add the job")
    return git("rev-parse", "HEAD")


def source(project, settings="", body="") -> str:
    return f"""
        import wandb
        settings = wandb.Settings({settings})
        with wandb.init(project={project!r}, id="maker", config={{"lr": 0.5}}, settings=settings) as run:
            run.log({{"loss": 0.1}})
            {body or "pass"}
    """


@pytest.mark.parametrize("how", ["setting", "variable", "default"])
def test_the_name_is_that_of_the_setting_or_the_variable(account, project, script, makes_jobs, how):
    env = {**makes_jobs, **({"WANDB_JOB_NAME": "awesome-job"} if how == "variable" else {})}
    settings = 'job_name="awesome-job"' if how == "setting" else ""
    script(source(project, settings, 'run.log_code(".", name="mycode")'), env=env)
    found = made(account, project)
    assert list(found) == ["job-mycode" if how == "default" else "awesome-job"]
    version = next(iter(found.values()))
    assert version["source_type"] == "code"
    assert version["entrypoint"][1:] == ["train.py"] and version["python"] == THIS_PYTHON
    assert account.run(project, "maker")["job"] == version["reference"], "run and job show the link"


@pytest.mark.parametrize("kind", ["artifact", "repo", "image", None])
def test_the_source_is_that_of_the_setting(account, project, makes_jobs, tmp_path, kind):
    """The run has all three sources; the setting says which one the job gets. Without it git comes first."""
    remote = "https://git.example.com/acme/ml.git"
    text = source(project, f"job_source={kind!r}" if kind else "", 'run.log_code(".", name="mycode")')
    path = tmp_path / "train.py"
    path.write_text(textwrap.dedent(text))
    commit = repository(tmp_path, remote)
    subprocess.run(
        [sys.executable, path], check=True, cwd=tmp_path, env={**makes_jobs, "WANDB_DOCKER": "local/tool:1.5"},
        capture_output=True, timeout=120,
    )  # fmt: skip
    found = made(account, project)
    (name,) = found
    version = found[name]
    if kind == "artifact":
        assert (name, version["source_type"]) == ("job-mycode", "code")
    elif kind == "image":
        assert (name, version["source"]["image"]) == ("job-local_tool", "local/tool:1.5")
        assert sorted(version["aliases"]) == ["1.5", "latest"]
    else:
        assert name == "job-https___git.example.com_acme_ml.git_train.py"
        assert version["source"]["git"] == {"remote": remote, "commit": commit}
        assert version["entrypoint"][1:] == ["train.py"]


def test_an_image_is_enough(account, project, script, makes_jobs):
    script(
        source(project), env={**makes_jobs, "WANDB_DISABLE_GIT": "true", "WANDB_DOCKER": "host.example/team/tool:dev"}
    )
    found = made(account, project)
    assert list(found) == ["job-host.example_team_tool"]
    assert sorted(found["job-host.example_team_tool"]["aliases"]) == ["dev", "latest"]


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("kind", ["image", "code"])
def test_the_same_once_more_is_no_new_version_whoever_makes_the_job(
    account, project, script, environment, makes_jobs, kind, first
):
    """The client's maker, and the server for a run whose client makes none, say the same in different words."""
    one, other = (makes_jobs, environment) if first == "client" else (environment, makes_jobs)
    extra = {"WANDB_DISABLE_GIT": "true", **({"WANDB_DOCKER": "host.example/team/tool:dev"} if kind == "image" else {})}
    text = source(project, body='run.log_code(".", name="mycode")' if kind == "code" else "").replace('id="maker", ', "")
    script(text, env={**one, **extra})
    (name,) = made(account, project)
    script(text, env={**other, **extra, "WANDB_RUN_ID": "again"})
    reference = wait_until("the second run's job", lambda: account.run(project, "again")["job"], 30)
    assert reference == f"{account.name}/{project}/{name}:v0"
    versions = account.rest.items(f"/entities/{account.name}/projects/{project}/jobs/{name}/versions")
    assert [v["version"] for v in versions] == ["v0"], [v["source"] for v in versions]


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_commit_is_one_version_whoever_makes_the_job(account, project, environment, makes_jobs, tmp_path, first):
    one, other = (makes_jobs, environment) if first == "client" else (environment, makes_jobs)
    (tmp_path / "train.py").write_text(textwrap.dedent(source(project).replace('id="maker", ', "")))
    repository(tmp_path, "https://git.example.com/acme/ml.git")

    def train(env) -> None:
        command = [sys.executable, "train.py"]
        subprocess.run(command, check=True, cwd=tmp_path, env=env, capture_output=True, timeout=120)

    train(one)
    (name,) = made(account, project)
    train({**other, "WANDB_RUN_ID": "again"})
    reference = wait_until("the second run's job", lambda: account.run(project, "again")["job"], 30)
    assert reference == f"{account.name}/{project}/{name}:v0"
    versions = account.rest.items(f"/entities/{account.name}/projects/{project}/jobs/{name}/versions")
    assert [v["version"] for v in versions] == ["v0"], [v["source"] for v in versions]


def test_a_job_of_the_client_runs_on_our_agent(account, project, script, makes_jobs, agent, wandb_cli, tmp_path):
    """Its malformed entry point and runtime are put right on the way."""
    (tmp_path / "requirements.txt").write_text("wandb==0.31.0\n")
    body = 'run.log_code(".", name="mycode", include_fn=lambda p: p.endswith((".py", ".txt")))'
    script(source(project, 'job_name="trainer"', body).replace('id="maker", ', ""), env=makes_jobs)
    made(account, project)
    account.queue(project)
    agent(project).wait_for(project)
    wandb_cli(
        "launch", "-q", project, "-j", f"{account.name}/{project}/trainer:latest", "-p", project, "-e", account.name
    )
    (item,) = account.rest.items("/items", entity=account.name, queue=project)
    ended = account.ended(item["id"], 240)
    assert ended["state"] == "finished", ended["reason"]
    assert list(jobs(account, project)) == ["trainer"], "a launched run makes no job"
    assert jobs(account, project)["trainer"]["version"] == "v0"


DOCUMENTED_RUN = """
import random
import wandb


def run_training_run(epochs, lr):
    settings = wandb.Settings(job_source="artifact")
    run = wandb.init(
        project="{project}",
        job_type="eval",
        settings=settings,
        entity="{entity}",
        config={{
            "learning_rate": lr,
            "epochs": epochs,
        }},
    )

    offset = random.random() / 5
    print(f"lr: {{lr}}")

    for epoch in range(2, epochs):
        acc = 1 - 2**-epoch - random.random() / epoch - offset
        loss = 2**-epoch + random.random() / epoch + offset
        wandb.log({{"acc": acc, "loss": loss}})

    run.log_code()
    run.finish()


run_training_run(epochs=10, lr=0.01)
"""


@pytest.mark.parametrize("maker", ["server", "client"])
def test_the_documented_script_becomes_a_job(account, project, environment, makes_jobs, tmp_path, maker):
    path = tmp_path / "create_simple_job.py"
    path.write_text(DOCUMENTED_RUN.format(project=project, entity=account.name))
    env = makes_jobs if maker == "client" else environment
    subprocess.run([sys.executable, path], check=True, cwd=tmp_path, env=env, capture_output=True, timeout=120)
    found = made(account, project)
    (name,) = found
    assert re.fullmatch(rf"job-source-{project}-.*create_simple_job\.py", name), name
    assert found[name]["source_type"] == "code"
    assert found[name]["inputs"]["config"]["properties"].keys() == {"learning_rate", "epochs"}


# The commands for making jobs as the documentation prints them, its placeholders filled in: options before the kind of
# source, a script as the path of the code, and a bare script as entry point.
DOCUMENTED_COMMANDS = {
    "code": 'job create --project "{project}" -e "{entity}" --name "doc-code" code "src/code.py"',
    "folder": 'job create --project "{project}" -e "{entity}" --name "doc-folder" code src --entry-point "code.py"',
    "image": 'job create --project "{project}" --entity "{entity}" --name "doc-image" image image-name:tag',
    "git": 'job create --project "{project}" --entity "{entity}" --name "doc-git" git {url} '
    '--entry-point "src/code.py"',
    "ref": 'job create --project "{project}" --entity "{entity}" --name "doc-ref" git {url} '
    '--entry-point "src/code.py" -g {commit}',
}


# The client itself takes folders only.
@pytest.mark.parametrize(
    "program, what",
    [(p, w) for p in ("lanza", "wandb") for w in DOCUMENTED_COMMANDS if (p, w) != ("wandb", "code")],
)
def test_the_documented_commands_work_as_typed(
    account, project, environment, git_server, lanza_cli, wandb_cli, tmp_path, program, what
):
    script = "import wandb\nwandb.init().finish()\n"
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text(script)
    (tmp_path / "src" / "requirements.txt").write_text("wandb==0.31.0\n")
    name = f"docs-{program}-{what}-{os.getpid()}"
    commit = git_server.repository(name, {"src/code.py": script, "requirements.txt": "wandb==0.31.0\n"})
    line = DOCUMENTED_COMMANDS[what].format(
        project=project, entity=account.name, url=git_server.url(name), commit=commit
    )
    call = lanza_cli if program == "lanza" else wandb_cli
    call(*shlex.split(line), env={**environment, **git_server.environment})
    version = jobs(account, project)[f"doc-{what}"]
    if what in ("code", "folder"):
        assert version["source_type"] == "code" and version["entrypoint"][-1] == "code.py"
        assert version["requirements"] == ["wandb==0.31.0"]
    elif what == "image":
        assert version["source"]["image"] == "image-name:tag" and "tag" in version["aliases"]
    else:
        assert version["source"]["git"] == {"remote": git_server.url(name), "commit": commit}
        assert version["entrypoint"][-1] == "src/code.py"
    if version["entrypoint"]:
        assert version["entrypoint"][0] in ("python", "python3"), "a bare script is run by Python"
