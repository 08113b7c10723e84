"""`lanza job create|describe|diff|list`: jobs of a folder, a script, a commit, an image, a finished run."""

import json
import subprocess
import sys

import pytest

from lanza_server import wait_until

SCRIPT = """
    import wandb

    with wandb.init(config={"lr": 0.1, "name": "x"}) as run:
        run.log({"loss": run.config.lr})
"""
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def create(account, project, lanza_cli):
    """Runs `lanza job create` in the project and returns the completed process."""

    def call(*arguments, **options):
        return lanza_cli("job", "create", "-p", project, *arguments, **options)

    return call


@pytest.fixture
def described(project, lanza_cli):
    def call(job, *arguments) -> dict:
        done = lanza_cli("job", "describe", job, "-p", project, "--json", *arguments)
        return json.loads(done.stdout)["version"]

    return call


def code_paths(account, version) -> list:
    artifact = version["source"]["artifact"].rsplit("/", 1)[1]
    return [f["path"] for f in account.rest.items(f"/artifacts/{artifact}/files")]


def test_a_folder_becomes_a_job_without_what_gitignore_names(account, project, create, described, code_folder, api):
    folder = code_folder(SCRIPT, "wandb==0.31.0\nrequests\n")
    (folder / ".gitignore").write_text("data/\n*.bin\n")
    for name in ("data/x.csv", "model.bin", "wandb/run-1/log", ".git/HEAD", "__pycache__/a.pyc", "pkg/part.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    done = create("code", folder, "-n", "trainer", "-a", "blessed", "-d", "what it does", "-E", "train.py")
    reference = f"{account.name}/{project}/trainer:v0"
    assert done.stdout == f"{reference}\n"
    assert f"created job {reference}" in done.stderr
    assert f"{account.server.url}/{account.name}/{project}/jobs/trainer" in done.stderr

    made = described("trainer")
    assert code_paths(account, made) == [".gitignore", "pkg/part.py", "requirements.txt", "train.py"]
    assert made["entrypoint"] == ["python", "train.py"], "a bare script is run by Python"
    assert made["python"] == THIS_PYTHON
    assert made["requirements"] == ["wandb==0.31.0", "requests"]
    assert sorted(made["aliases"]) == ["blessed", "latest"]
    assert made["inputs"]["from"] == "unknown"
    assert account.rest.items(f"/entities/{account.name}/projects/{project}/runs") == [], "no run is made for it"

    again = create("code", folder, "-n", "trainer", "-E", "python train.py", "--json")
    assert json.loads(again.stdout)["outcome"] == "unchanged", "the same command, written out"
    # Content that no other test has uploaded: the server keeps equal files of an entity once.
    for name in ("train.py", "more.py", "requirements.txt"):
        (folder / name).write_text(f"# {name} of {project}\n")
    updated = create("code", folder, "-n", "trainer", "-E", "python -u train.py")
    assert updated.stdout.endswith(":v1\n") and "updated job" in updated.stderr
    assert "3 uploaded" in updated.stderr, "only what the server does not have"

    # The client reads it like one of its own.
    read = api.job(f"{account.name}/{project}/trainer:v1")
    assert read._entrypoint == ["python", "-u", "train.py"]


def test_a_difference_names_source_packages_and_command(project, create, lanza_cli, code_folder):
    folder = code_folder(SCRIPT)
    create("code", folder, "-n", "d", "-E", "train.py")
    (folder / "train.py").rename(folder / "fit.py")
    (folder / "requirements.txt").write_text("wandb==0.31.0\nnumpy\n")
    create("code", folder, "-n", "d", "-E", "fit.py")
    text = lanza_cli("job", "diff", "d", "v0", "v1", "-p", project).stdout
    assert "entrypoint:\n- python train.py\n+ python fit.py\n" in text
    assert "files:\n+ fit.py\n~ requirements.txt\n- train.py\npackages:\n+ numpy\n" in text
    assert lanza_cli("job", "diff", "d:v0", "v1", "-p", project).stdout == text
    assert lanza_cli("job", "diff", "d", "v0", "-p", project).stdout == text
    same = lanza_cli("job", "diff", "d", "v1", "latest", "-p", project)
    assert (same.stdout, "are the same" in same.stderr) == ("", True)
    assert lanza_cli("job", "diff", "d", "v0", "v9", "-p", project, check=False).returncode == 3
    listed = lanza_cli("job", "list", "-p", project).stdout.splitlines()
    assert listed[1].split()[:3] == ["d", "v1", "code"]


def test_a_script_is_a_job_with_its_folder(account, create, described, code_folder, tmp_path):
    folder = code_folder(SCRIPT)
    (folder / "part.py").write_text("")
    done = create("code", folder / "train.py", "-n", "scripted")
    assert done.stdout.endswith("/scripted:v0\n")
    made = described("scripted")
    assert made["entrypoint"] == ["python", "train.py"]
    assert code_paths(account, made) == ["part.py", "requirements.txt", "train.py"]
    # Typed from inside of the folder, without a name: the documented default.
    inside = create("code", "train.py", cwd=folder)
    assert inside.stdout.rsplit("/", 1)[1] == "job-train.py:v0\n"
    above = create("code", "source/train.py", cwd=tmp_path)
    assert above.stdout.rsplit("/", 1)[1] == "job-source_train.py:v0\n"


@pytest.mark.parametrize(
    "files, flags, python",
    [
        ({"runtime.txt": "python-3.12.1\n", ".python-version": "3.10\n"}, (), "3.12"),
        ({".python-version": "3.10.4\n"}, (), "3.10"),
        ({"runtime.txt": "3.12\n"}, ("-r", "3.13"), "3.13"),
        ({}, (), THIS_PYTHON),
    ],
)
def test_the_python_version_is_found(create, described, code_folder, files, flags, python):
    folder = code_folder(SCRIPT)
    for name, text in files.items():
        (folder / name).write_text(text)
    create("code", folder, "-n", "versioned", "-E", "train.py", *flags)
    assert described("versioned")["python"] == python


def test_packages_come_from_the_best_list_that_is_there(create, described, code_folder):
    folder = code_folder(SCRIPT)
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["wandb==0.31.0", "numpy>=2"]\n')
    (folder / "uv.lock").write_text(
        'version = 1\n[[package]]\nname = "x"\nversion = "0"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "wandb" }]\n[[package]]\nname = "wandb"\nversion = "0.31.0"\n'
        'source = { registry = "https://index.example/simple" }\n'
        '[[package]]\nname = "unused"\nversion = "1"\nsource = { registry = "https://index.example/simple" }\n'
    )
    (folder / "requirements.frozen.txt").write_text("frozen==1\n")
    found = []
    for gone in ("requirements.txt", "uv.lock", "pyproject.toml", None):
        create("code", folder, "-n", "listed", "-E", "train.py")
        found.append(described("listed")["requirements"])
        if gone:
            (folder / gone).unlink()
    assert found == [["wandb==0.31.0"], ["wandb==0.31.0"], ["wandb==0.31.0", "numpy>=2"], ["frozen==1"]]


def test_a_commit_is_found_by_branch_tag_commit_and_by_the_remotes_own_default(
    account, project, create, described, git_server, environment
):
    files = {"train.py": "print(1)\n", "requirements.txt": "wandb==0.31.0\n", "runtime.txt": "3.12\n"}
    first = git_server.repository("cli-git", files)
    url = git_server.url("cli-git")
    bare = git_server.repositories / "cli-git.git"
    work = git_server.folder / "work-cli-git"

    def git(*words):
        command = ("git", "-C", str(work), "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("checkout", "-q", "-b", "trunk")
    (work / "sub").mkdir()
    (work / "sub" / "fit.py").write_text("print(2)\n")
    (work / "sub" / "Dockerfile.job").write_text("FROM python:3.12-slim\n")
    git("add", ".")
    git("commit", "-q", "-m", "Move on")
    second = git("rev-parse", "HEAD")
    git("tag", "-a", "v1.0", first, "-m", "first")
    git("push", "-q", str(bare), "trunk", "v1.0")
    subprocess.run(["git", "-C", str(bare), "symbolic-ref", "HEAD", "refs/heads/trunk"], check=True)
    env = {**environment, **git_server.environment}

    def commit_of(*flags, name="g"):
        create("git", url, "-n", name, *flags, env=env)
        return described(name)["source"]["git"]["commit"]

    assert commit_of("-E", "train.py") == second, "the remote's own default branch, whatever it is called"
    assert commit_of("-E", "train.py", "-g", "main") == first
    assert commit_of("-E", "train.py", "--git-hash", "v1.0") == first
    assert commit_of("-E", "train.py", "-g", second) == second
    assert commit_of("-E", "train.py", "-g", second[:9]) == second
    made = described("g")
    assert (made["source_type"], made["source"]["git"]["remote"]) == ("git", url)
    assert (made["python"], made["requirements"]) == ("3.12", ["wandb==0.31.0"])

    commit_of("-E", "fit.py", "-b", "sub", "-D", "Dockerfile.job", name="built")
    made = described("built")["source"]
    assert (made["build_context"], made["dockerfile"]) == ("sub", "Dockerfile.job")
    commit_of("-E", "train.py", "-B", "python:3.12-slim", name="based")
    assert described("based")["source"]["base_image"] == "python:3.12-slim"
    unnamed = create("git", url, "-E", "train.py", env=env).stdout
    assert unnamed.endswith(f"/job-https___localhost_{git_server.port}_cli-git.git_:v0\n")

    for flags, words in [
        (("-E", "absent.py"), "absent.py"),
        (("-E", "train.py", "-g", "absent"), "no branch, tag or commit `absent`"),
        (("-E", "../train.py"), "leads out"),
        (("-E", "train.py", "-b", "absent"), "no build context `absent`"),
        (("-E", "train.py", "-D", "absent"), "no Dockerfile `absent`"),
    ]:
        refused = create("git", url, *flags, env=env, check=False)
        assert refused.returncode == 3 and words in refused.stderr, refused.stderr


def test_what_is_hostile_or_senseless_is_refused(create, code_folder, tmp_path):
    folder = code_folder(SCRIPT)
    for words, code in [
        (("git", "file:///etc", "-E", "x.py"), 3),
        (("git", "file:/etc", "-E", "x.py"), 3),
        (("git", "ext::sh -c id", "-E", "x.py"), 3),
        (("git", "https://localhost/x.git", "-E", "x.py", "-g", "--upload-pack=id"), 3),
        (("git", "https://localhost/x.git", "-E", "x.py", "-g", "-x"), 3),
        (("code", tmp_path / "absent"), 3),
        (("code", folder / "requirements.txt"), 3),
        (("code", folder), 3),
        (("code", folder, "-E", "trian.py"), 3),
        (("code", folder, "-E", "train.py", "-n", "a b"), 3),
        (("code", folder, "-E", "train.py", "-r", "2.7"), 3),
        (("code", folder, "-E", "train.py", "-a", "v7"), 3),
        (("code", folder, "-E", "train.py", "-g", "main"), 2),
        (("code", folder, "-E", "'open"), 2),
        (("image", "x:1", "-B", "y"), 2),
        (("run", "x", "--entry-point", "y"), 2),
    ]:
        done = create(*words, check=False)
        assert done.returncode == code and done.stdout == "", (words, done)
        assert "lanza: error:" in done.stderr, done.stderr
    assert "Did you mean `train.py`?" in create("code", folder, "-E", "trian.py", check=False).stderr
    assert "`a_b` would do" in create("code", folder, "-E", "train.py", "-n", "a b", check=False).stderr


def test_an_image_has_its_tag_as_alias(create, described):
    done = create("image", "host.example:5000/team/tool:1.2")
    name = done.stdout.strip().rsplit("/", 1)[1].split(":")[0]
    assert name == "job-host.example_5000_team_tool"
    made = described(name)
    assert made["source"] == {"image": "host.example:5000/team/tool:1.2"}
    assert sorted(made["aliases"]) == ["1.2", "latest"]
    assert made["entrypoint"] == []
    create("image", "tool:v7", "-n", "seven", "-E", "python /x.py")
    assert described("seven")["aliases"] == ["latest"]
    assert described("seven")["entrypoint"] == ["python", "/x.py"]


def test_a_notebook_is_an_entry_point(create, described, tmp_path):
    folder = tmp_path / "books"
    folder.mkdir()
    cell = {"cell_type": "code", "source": ["import wandb\n"], "metadata": {}, "outputs": [], "execution_count": None}
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "study.ipynb").write_text(json.dumps(book))
    (folder / "requirements.txt").write_text("wandb==0.31.0\n")
    create("code", folder / "study.ipynb", "-n", "book")
    made = described("book")
    assert made["entrypoint"] == ["python", "study.ipynb"]
    assert made["source"]["notebook"] is True


def test_a_finished_run_becomes_a_job_by_hand(account, project, create, described, script, environment, lanza_cli):
    source = f"""
        import wandb
        with wandb.init(project={project!r}, id="r1", config={{"lr": 0.5}}) as run:
            run.log_code(".", name="mycode")
    """
    script(source, env={**environment, "WANDB_DOCKER": "local/tool:1.5"})
    wait_until("the job that the server makes", lambda: account.run(project, "r1")["job"], 30)
    made = create("run", f"{account.name}/{project}/r1", "-n", "by-hand", "--source", "code")
    assert made.stdout == f"{account.name}/{project}/by-hand:v0\n"
    version = described("by-hand")
    assert version["source_type"] == "code" and version["entrypoint"] == ["python", "train.py"]
    assert version["inputs"]["config"]["properties"]["lr"] == {"type": "number", "default": 0.5}
    assert version["made_of"] == "r1"
    again = create("run", "r1", "-n", "by-hand", "--source", "code")
    assert "no changes" in again.stderr and again.stdout == made.stdout
    create("run", "r1", "-n", "of-image", "--source", "image")
    assert described("of-image")["source"] == {"image": "local/tool:1.5"}
    refused = create("run", "r1", "--source", "git", check=False)
    assert refused.returncode == 3 and "no git remote" in refused.stderr
    assert create("run", "absent", check=False).returncode == 3


def test_a_run_that_becomes_no_job_says_why(account, project, lanza_cli, script, environment):
    source = f"""
        import wandb
        with wandb.init(project={project!r}, id="plain") as run:
            run.log({{"x": 1}})
    """
    script(source, env={**environment, "WANDB_DISABLE_GIT": "true"})
    wait_until("the end of the run", lambda: account.run(project, "plain")["state"] == "finished", 30)
    shown = lanza_cli("run", "show", "plain", "-p", project).stdout
    assert "none: `plain` names no image, logged no code, and has no git remote and commit" in shown
    told = account.rest.get(account.run_path(project, "plain", "/job"))["job"]
    assert told["job"] is None and "logged no code" in told["why"]


def test_a_launched_run_teaches_its_job_what_it_takes(
    account, project, create, described, agent, code_folder, lanza_cli
):
    account.queue(project)
    create("code", code_folder(SCRIPT), "-n", "taught", "-E", "train.py")
    agent(project).wait_for(project)
    done = lanza_cli("launch", "-q", project, "-j", "taught", "-p", project, "--set", "lr=0.25", "--wait", timeout=300)
    item = account.item(done.stdout.split()[0])
    assert item["state"] == "finished", item
    version = wait_until("the types", lambda: (v := described("taught"))["inputs"]["from"] == "types" and v, 30)
    properties = version["inputs"]["config"]["properties"]
    assert properties["lr"]["type"] == "number" and properties["name"]["type"] == "string"
    assert version["output_types"]["params"]["type_map"]["loss"] == {"wb_type": "number"}
    assert version["runs"] == [item["run"]]
    text = lanza_cli("job", "describe", "taught", "--version", "v0", "-p", project).stdout
    assert "lr: number\n" in text and "name: string\n" in text, text
    refused = lanza_cli("launch", "-q", project, "-j", "taught", "-p", project, "--set", "lr=fast", check=False)
    assert refused.returncode == 3
    assert '`overrides.run_config.lr` must be a number, and is "fast"' in refused.stderr


def test_without_an_entry_point_it_is_main_py(account, create, described, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "requirements.txt").write_text("wandb==0.31.0\n")
    lost = create("code", folder, "-n", "lost", check=False)
    assert lost.returncode != 0 and "main.py" in lost.stderr
    (folder / "main.py").write_text("print(1)\n")
    create("code", folder, "-n", "found")
    assert described("found")["entrypoint"] == ["python", "main.py"]


def test_entity_and_project_come_from_the_environment(
    account, project, lanza_cli, wandb_cli, environment, code_folder, stranger
):
    folder = code_folder(SCRIPT)
    command = ("job", "create", "code", folder, "-E", "python train.py", "-n")
    environment.pop("WANDB_PROJECT", None)
    lost = lanza_cli(*command, "lost", check=False)
    assert lost.returncode == 2 and "project" in lost.stderr and "WANDB_PROJECT" in lost.stderr, lost.stderr
    for name, cli in (("by-lanza", lanza_cli), ("by-wandb", wandb_cli)):
        cli(*command, name, env={**environment, "WANDB_PROJECT": project, "WANDB_ENTITY": account.name})
    made = account.rest.items(f"/entities/{account.name}/projects/{project}/jobs")
    assert sorted(job["name"] for job in made) == ["by-lanza", "by-wandb"]
    foreign = {**environment, "WANDB_PROJECT": project, "WANDB_ENTITY": stranger.name}
    refused = lanza_cli(*command, "foreign", env=foreign, check=False)
    assert refused.returncode == 3 and stranger.name in refused.stderr, refused.stderr


def test_the_sdk_makes_a_job_of_a_commit(account, project, script, environment, git_server, described):
    commit = git_server.repository("sdkjob", {"sub/train.py": "print('hi')\n", "sub/requirements.txt": "wandb\n"})
    url = git_server.url("sdkjob")
    script(
        f"""
        from wandb.sdk.launch.create_job import create_job

        made = create_job({url!r}, "git", name="committed", entrypoint="python train.py", git_hash={commit!r},
                          build_context="sub", runtime="3.11", entity={account.name!r}, project={project!r})
        assert made.version == "v0", made.version
        """,
        env={**environment, **git_server.environment},
    )
    made = described("committed")
    assert (made["source_type"], made["source"]["git"]) == ("git", {"remote": url, "commit": commit})
    assert (made["python"], made["entrypoint"]) == ("3.11", ["python", "train.py"])


def test_the_sdk_makes_jobs_of_code_and_images(account, project, script, code_folder, described):
    folder = code_folder(SCRIPT)
    script(
        f"""
        from wandb.sdk.launch.create_job import create_job

        where = dict(entity={account.name!r}, project={project!r})
        made = create_job({str(folder)!r}, "code", name="coded", entrypoint="python train.py", runtime="3.11",
                          description="by hand", aliases=["best"], **where)
        assert made.version == "v0" and "best" in made.aliases, made.aliases
        made = create_job("tool:7", "image", name="pictured", **where)
        assert made.version == "v0", made.version
        """
    )
    coded = described("coded")
    assert (coded["python"], coded["entrypoint"]) == ("3.11", ["python", "train.py"])
    assert "best" in coded["aliases"] and coded["source_type"] == "code"
    pictured = described("pictured")
    assert pictured["source_type"] == "image" and pictured["source"]["image"] == "tool:7"
    assert account.rest.items(f"/entities/{account.name}/projects/{project}/runs") == [], "its hidden runs are gone"
