"""Jobs from git remotes with log-ins, run by `lanza agent`: what is fetched, what is refused, and how it fails."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from needs import required
from git_hosts import HttpHost, SshHost, repository, sshd
from lanza_server import wait_until

USER, PASSWORD = "ann", "p@ss word"


@pytest.fixture(scope="module")
def https(tmp_path_factory):
    host = HttpHost(tmp_path_factory.mktemp("https"), (USER, PASSWORD))
    host.made = repository(host.folder, "job")
    yield host
    host.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    host = HttpHost(tmp_path_factory.mktemp("http"), plain=True)
    host.made = repository(host.folder, "job")
    yield host
    host.close()


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    if sshd() is None:
        if required("ssh"):
            pytest.fail("LANZA_REQUIRE names ssh, but there is no sshd")
        pytest.skip("there is no sshd")
    host = SshHost(tmp_path_factory.mktemp("ssh"))
    host.made = repository(host.repositories, "job")
    yield host
    host.close()


@pytest.fixture
def push(account, project, api):
    """Makes a git job exactly as given (the client's command would refuse some) and puts it on the project's queue."""
    import wandb
    from wandb.sdk.artifacts._internal_artifact import InternalArtifact

    account.queue(project)
    count = 0

    def call(remote, commit, entry=("python", "job.py"), patch=None, overrides=None, queue=project, **source) -> str:
        nonlocal count
        count += 1
        described = {
            "_version": "v0", "source_type": "repo", "runtime": "", "input_types": {}, "output_types": {},
            "source": {
                "git": {"remote": remote, "commit": commit}, "entrypoint": list(entry), "notebook": False, **source,
            },
        }  # fmt: skip
        name = f"git-{count}"
        with wandb.init(entity=account.name, project=project) as run:
            artifact = InternalArtifact(name, "job")
            with artifact.new_file("wandb-job.json") as file:
                json.dump(described, file)
            if patch:
                with artifact.new_file("diff.patch") as file:
                    file.write(patch)
            version = run.log_artifact(artifact).wait().version
        path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
        body = {"job": f"{account.name}/{project}/{name}:{version}", "project": project, "overrides": overrides or {}}
        return account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]

    return call


@pytest.fixture
def config(tmp_path):
    def write(git: dict) -> tuple:
        path = tmp_path / "launch-config.yaml"
        path.write_text(json.dumps({"max_jobs": 3, "lanza": {"git": git}}))
        return ("-c", path)

    return write


def log(account, item, phase="run") -> str:
    return account.rest.text(f"/items/{item}/logs", params={"phase": phase})


def credentials(host) -> dict:
    return {"credentials": {host.place: {"username": USER, "password_env": "GIT_TOKEN"}}}


def added(path: str, text: str) -> str:
    """A patch that adds a file."""
    lines = text.splitlines()
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)


SCRIPT = "import wandb\nwith wandb.init() as run:\n    run.log({'a': 1})\n"
REAL_CLIENT = added("train.py", SCRIPT) + added("requirements.txt", "wandb==0.31.0\n")


def made_by_the_client(account, project, api, item, commit, remote):
    """The run of an item, which ended well, of a commit that both of them know."""
    ended = account.ended(item, 300)
    assert ended["state"] == "finished", (ended["reason"], log(account, item), log(account, item, "build"))
    assert ended["source"]["commit"] == commit
    run = api.run(f"{account.name}/{project}/{ended['run']}")
    assert (run.state, run.summary["a"], run.commit) == ("finished", 1, commit)
    assert account.run(project, ended["run"])["git"]["remote"] == remote
    return run


def test_https_by_the_agents_config_branch_tag_commit_and_default(
    account, project, agent, push, environment, https, config
):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    remote, made = f"{https.url}/job.git", https.made
    wanted = {
        "feature/x": "feature", "v1.0": "first", "HEAD": "trunk", made["middle"]: "middle", made["gone"]: "gone",
        made["first"][:10]: "first", "origin/trunk": "trunk",
    }  # fmt: skip
    items = {reference: push(remote, reference) for reference in wanted}
    agent(project, options=config(credentials(https)))
    for reference, revision in wanted.items():
        item = account.ended(items[reference])
        assert f"rev {revision} {made[revision]}" in log(account, item["id"]), (reference, item["reason"])
        assert item["state"] != "queued" and item["source"]["kind"] == "git"
        assert item["source"]["commit"] == made[revision], reference
        assert PASSWORD not in json.dumps(item) + log(account, item["id"], "fetch")


def test_an_item_of_a_git_job_is_replayed_here(
    account, project, agent, push, environment, https, config, lanza_cli, tmp_path
):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    item = push(f"{https.url}/job.git", "v1.0")
    agent(project, options=config(credentials(https)))
    account.ended(item)
    told = f"rev first {https.made['first']}"
    assert told in log(account, item)
    # By what the caller has set up: the agent's log-ins are its own.
    place = https.url.removeprefix("https://")
    environment["HOME"] = str(tmp_path)
    (tmp_path / ".netrc").write_text(f'machine {place.split(":")[0]} login {USER} password "{PASSWORD}"\n')
    line = lanza_cli("item", "replay", item, "--folder", tmp_path / "replay", timeout=180).stdout.strip()
    again = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)
    assert told in again.stdout, (line, again.stdout, again.stderr)
    assert PASSWORD not in line


def test_only_the_commit_that_runs_is_fetched(account, project, agent, push, environment, https, config, agent_state):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    count = ("sh", "-c", "git rev-list --all HEAD | wc -l; cat .git/config")
    item = push(f"{https.url}/job.git", https.made["trunk"], entry=count)
    agent(project, options=config(credentials(https)))
    account.ended(item)
    text = log(account, item)
    assert text.split()[0] == "1", text
    assert f"{https.url}/job.git" in text and PASSWORD not in text and USER not in text


def test_a_server_that_gives_out_no_single_commit_is_fetched_whole(
    account, project, agent, push, environment, https, config
):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD, "GIT_CONFIG_COUNT": "1"}
    environment |= {"GIT_CONFIG_KEY_0": "protocol.version", "GIT_CONFIG_VALUE_0": "0"}
    items = [push(f"{https.url}/job.git", https.made[which]) for which in ("middle", "gone")]
    agent(project, options=config(credentials(https)))
    assert f"rev middle {https.made['middle']}" in log(account, account.ended(items[0])["id"])
    lost = account.ended(items[1])
    assert lost["reason"]["code"] == "git_not_found" and https.made["gone"] in lost["reason"]["message"]


@pytest.mark.parametrize("way", ["netrc", "helper", "address"])
def test_https_by_what_people_have_set_up(account, project, agent, push, environment, https, way, tmp_path):
    environment |= https.environment
    remote = f"{https.url}/job.git"
    if way == "netrc":
        environment["HOME"] = str(tmp_path)
        (tmp_path / ".netrc").write_text(f"machine localhost login {USER} password {PASSWORD.replace(' ', '%20')}\n")
        # A password with a blank needs quotes, which git's curl understands.
        (tmp_path / ".netrc").write_text(f'machine localhost login {USER} password "{PASSWORD}"\n')
    elif way == "helper":
        helper = tmp_path / "helper"
        helper.write_text(f"#!/bin/sh\necho username={USER}\necho 'password={PASSWORD}'\n")
        helper.chmod(0o700)
        (tmp_path / "gitconfig").write_text(f"[credential]\n\thelper = {helper}\n")
        environment["GIT_CONFIG_GLOBAL"] = str(tmp_path / "gitconfig")
    else:
        remote = remote.replace("://", f"://{USER}:p%40ss%20word@")
    item = push(remote, "v1.0", entry=("sh", "-c", "python job.py; cat .git/config; env"))
    agent(project)
    ended = account.ended(item)
    assert f"rev first {https.made['first']}" in log(account, item), ended["reason"]
    assert "p%40ss" not in log(account, item) + log(account, item, "fetch")


@pytest.mark.parametrize("given", ["nothing", "a wrong password"])
def test_a_refused_log_in_fails_at_once(account, project, agent, push, environment, https, config, given):
    environment |= https.environment | {"GIT_TOKEN": "wrong"}
    # The agent of a person has a terminal and a desktop; neither may be asked.
    environment |= {"DISPLAY": ":99", "SSH_ASKPASS": "/bin/sleep"}
    environment.pop("GIT_TERMINAL_PROMPT", None)
    item = push(f"{https.url}/job.git", "trunk")
    agent(project, options=config(credentials(https) if given != "nothing" else {})).wait_for(project)
    begun = time.monotonic()
    ended = account.ended(item)
    assert time.monotonic() - begun < 30
    assert ended["state"] == "failed"
    assert ended["reason"]["code"] == "git_login_failed" and ended["reason"]["help"] == "LZ0106"
    assert https.place in ended["reason"]["message"]
    assert [p["name"] for p in ended["attempts"][-1]["phases"]][0] == "fetch"


def test_a_certificate_that_nobody_trusts(account, project, agent, push, https):
    item = push(f"{https.url}/job.git", "trunk")
    agent(project)
    assert account.ended(item)["reason"]["code"] == "git_host_unknown"


def test_what_is_not_there_is_said_with_its_name(account, project, agent, push, environment, https, config):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    remote = f"{https.url}/job.git"
    gone = [push(remote, "no-such"), push(remote, "0" * 40), push(f"{https.url}/none.git", "trunk")]
    agent(project, options=config(credentials(https)))
    for item, word in zip(gone, ("no-such", "0" * 40, "none.git"), strict=True):
        reason = account.ended(item)["reason"]
        assert reason["code"] == "git_not_found" and word in reason["message"], reason


def test_ssh_with_a_key_and_known_hosts(account, project, agent, push, environment, ssh, config, tmp_path, api):
    remote = f"{ssh.url}/job.git"
    good = {"credentials": {"127.0.0.1": {"ssh_key": str(ssh.key), "known_hosts": str(ssh.known_hosts)}}}
    wanted = {"feature/x": "feature", "v1.0": "first", "HEAD": "trunk", ssh.made["gone"]: "gone"}
    items = {reference: push(remote, reference) for reference in wanted}
    running = agent(project, options=config(good))
    for reference, revision in wanted.items():
        item = account.ended(items[reference])
        assert f"rev {revision} {ssh.made[revision]}" in log(account, item["id"]), (reference, item["reason"])
    assert running.stop() == 0

    # A run of the real client knows what it was made of.
    item = push(remote, "feature/x", entry=("python", "train.py"), patch=REAL_CLIENT)
    running = agent(project, options=config(good))
    made_by_the_client(account, project, api, item, ssh.made["feature"], remote)
    assert running.stop() == 0

    # The same by the agent's own ssh command, in the short form of an address.
    user = remote.split("//")[1].split("@")[0]
    environment["GIT_SSH_COMMAND"] = (
        f"ssh -F /dev/null -i {ssh.key} -p {ssh.port} -o IdentitiesOnly=yes -o UserKnownHostsFile={ssh.known_hosts}"
    )
    item = push(f"{user}@127.0.0.1:job.git", "trunk")
    running = agent(project)
    assert f"rev trunk {ssh.made['trunk']}" in log(account, account.ended(item)["id"])
    assert running.stop() == 0
    del environment["GIT_SSH_COMMAND"]

    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    for key, hosts, word in (
        (ssh.other_key, ssh.known_hosts, "git_login_failed"),
        (ssh.key, nobody, "git_host_unknown"),
    ):
        item = push(remote, "trunk")
        wrong = {"credentials": {"127.0.0.1": {"ssh_key": str(key), "known_hosts": str(hosts)}}}
        running = agent(project, options=config(wrong))
        assert account.ended(item)["reason"]["code"] == word
        assert running.stop() == 0


def test_a_job_is_made_over_ssh_by_ones_own_command_and_nothing_is_asked(
    account, project, agent, environment, ssh, https, lanza_cli, tmp_path
):
    account.queue(project)
    own = f"ssh -F /dev/null -i {ssh.key} -o IdentitiesOnly=yes -o UserKnownHostsFile={ssh.known_hosts}"
    environment["GIT_SSH_COMMAND"] = own
    create = ("job", "create", "git", f"{ssh.url}/job.git", "-p", project, "-E", "python job.py", "-n")
    lanza_cli(*create, "over-ssh")
    # The same by git's own configuration.
    del environment["GIT_SSH_COMMAND"]
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.sshCommand", "GIT_CONFIG_VALUE_0": own}
    lanza_cli(*create, "configured", env={**environment, **settings})
    environment["GIT_SSH_COMMAND"] = own
    agent(project, options=("-p", project))
    item = lanza_cli("launch", "-q", project, "-j", "over-ssh", "-p", project).stdout.strip()
    other = lanza_cli("launch", "-q", project, "-j", "configured", "-p", project, "-g", "v1.0").stdout.strip()
    hostile = lanza_cli("launch", "-q", project, "-j", "configured", "-p", project, "--git-hash=--upload-pack=x").stdout
    assert f"rev trunk {ssh.made['trunk']}" in log(account, account.ended(item)["id"]), account.item(item)["reason"]
    ended = account.ended(other)
    assert f"rev first {ssh.made['first']}" in log(account, ended["id"]), ended["reason"]
    assert ended["source"]["commit"] == ssh.made["first"]
    assert account.ended(hostile.strip())["reason"]["code"] == "git_refused"

    # A desktop's window would be such a program.
    proof, window = tmp_path / "asked", tmp_path / "window"
    window.write_text(f"#!/bin/sh\ntouch {proof}\necho x\n")
    window.chmod(0o755)
    desktop = {**environment, **https.environment, "SSH_ASKPASS": str(window), "DISPLAY": ":9"}
    create = ("job", "create", "git", f"{https.url}/job.git", "-p", project, "-E", "x")
    refused = lanza_cli(*create, check=False, env=desktop)
    assert refused.returncode == 3 and not proof.exists(), refused.stderr


def test_plain_http_only_where_the_agents_owner_allows_it(account, project, agent, push, plain, config):
    remote = f"{plain.url}/job.git"
    first = push(remote, "trunk")
    running = agent(project)
    refused = account.ended(first)
    assert refused["reason"]["code"] == "git_refused" and "plain http" in refused["reason"]["message"]
    assert plain.requests == [], "it was not even asked"
    assert running.stop() == 0
    second = push(remote, "trunk")
    agent(project, options=config({"allow_http_hosts": ["localhost"]}))
    assert f"rev trunk {plain.made['trunk']}" in log(account, account.ended(second)["id"])


def test_hostile_addresses_and_references_run_nothing(account, project, agent, push, https, environment, tmp_path):
    environment |= https.environment
    proof = tmp_path / "proof"
    good = f"{https.url}/job.git"
    hostile = [
        push(f"ext::sh -c touch% {proof}", "trunk"),
        push(f"file://{https.folder}/job.git", "trunk"),
        push(str(https.folder / "job.git"), "trunk"),
        push(f"--upload-pack=touch {proof}", "trunk"),
        push(f"ssh://-oProxyCommand=touch%20{proof}/job", "trunk"),
        push(good, f"--upload-pack=touch {proof}"),
        push(good, "trunk:refs/heads/x"),
        push(good, "trunk..v1.0"),
    ]
    agent(project)
    for item in hostile:
        ended = account.ended(item)
        assert (ended["state"], ended["reason"]["code"]) == ("failed", "git_refused"), ended["reason"]
    assert not proof.exists()


def test_uncommitted_changes_come_back(account, project, agent, push, environment, https, config):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    patch = "diff --git a/rev.txt b/rev.txt\n--- a/rev.txt\n+++ b/rev.txt\n@@ -1 +1 @@\n-{}\n+changed\n"
    remote = f"{https.url}/job.git"
    good = push(remote, https.made["middle"], patch=patch.format("middle"))
    bad = push(remote, https.made["middle"], patch=patch.format("something else"))
    escape = "diff --git a/../../out.txt b/../../out.txt\nnew file mode 100644\n--- /dev/null\n+++ b/../../out.txt\n"
    out = push(remote, "trunk", patch=escape + "@@ -0,0 +1 @@\n+x\n")
    agent(project, options=config(credentials(https)))
    assert f"rev changed {https.made['middle']}" in log(account, account.ended(good)["id"])
    for item in (bad, out):
        reason = account.ended(item)["reason"]
        assert reason["code"] == "patch_failed" and "diff.patch" in reason["message"], reason


def test_a_sub_folder_and_submodules(account, project, agent, push, environment, https, config, tmp_path):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    from git_hosts import AUTHOR
    from git_server import _run

    work = tmp_path / "super"
    trusted = {**environment, **AUTHOR}

    def make(name: str, url: str) -> None:
        folder = work / name
        folder.mkdir(parents=True)
        _run("git", "init", "-q", "-b", "main", folder)
        (folder / "main.py").write_text("print(open('lib/rev.txt').read())\n")
        (folder / ".gitmodules").write_text(f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n')
        _run("git", "-C", folder, "add", ".")
        _run("git", "-C", folder, "update-index", "--add", "--cacheinfo", f"160000,{https.made['middle']},lib")
        _run("git", "-C", folder, "commit", "-q", "-m", name, env=trusted)
        _run("git", "clone", "-q", "--bare", folder, https.folder / f"{name}.git")

    make("relative", "../job.git")
    make("hostile", f"file://{https.folder}/job.git")
    make("program", f"ext::sh -c touch% {tmp_path}/proof")
    entry = ("python", "main.py")
    relative, hostile, program = (
        push(f"{https.url}/{n}.git", "main", entry=entry) for n in ("relative", "hostile", "program")
    )
    below = push(f"{https.url}/job.git", "trunk", build_context="deep", overrides={"working_dir": "er"})
    outside = push(f"{https.url}/job.git", "trunk", build_context="../..")
    agent(project, options=config(credentials(https)))
    assert "middle" in log(account, account.ended(relative)["id"]), account.item(relative)["reason"]
    for item in (hostile, program):
        assert account.ended(item)["reason"]["code"] == "git_refused"
    assert not (tmp_path / "proof").exists()
    assert "deep in er" in log(account, account.ended(below)["id"]), account.item(below)["reason"]
    assert account.ended(outside)["reason"]["code"] == "source_missing"


def test_links_that_lead_out_of_the_code_are_not_followed(
    account, project, agent, push, environment, https, config, tmp_path
):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    from git_hosts import AUTHOR
    from git_server import _run

    outside, work = tmp_path / "outside", tmp_path / "links"
    outside.mkdir()
    work.mkdir()
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": "print('stolen')"}]})
    (outside / "own.ipynb").write_text(notebook)
    (outside / "own.py").write_text("mine\n")
    (outside / "requirements.txt").write_text("no-such-package-of-the-agent\n")
    for name in ("n.ipynb", "fresh.ipynb"):
        (work / name).write_text(notebook)
    (work / "job.py").write_text("print('ran')\n")
    links = {
        "read.ipynb": "own.ipynb", "n.py": "own.py", "fresh.py": "new.py", "out": "",
        "requirements.txt": "requirements.txt",
    }  # fmt: skip
    for name, target in links.items():
        (work / name).symlink_to(outside / target)
    _run("git", "init", "-q", "-b", "main", work)
    _run("git", "-C", work, "add", ".")
    _run("git", "-C", work, "commit", "-q", "-m", "links", env={**environment, **AUTHOR})
    _run("git", "clone", "-q", "--bare", work, https.folder / "links.git")
    remote = f"{https.url}/links.git"
    hostile = {
        name: push(remote, "main", entry=("python", name))
        for name in ("read.ipynb", "n.ipynb", "fresh.ipynb", "out/own.ipynb")
    }
    hostile["out"] = push(remote, "main", build_context="out")
    hostile["`out`"] = push(remote, "main", overrides={"working_dir": "out"})
    # The list of packages is the agent's file, not the job's, so the job has none.
    good = push(remote, "main")
    agent(project, options=config(credentials(https)))
    for name, item in hostile.items():
        reason = account.ended(item)["reason"]
        assert reason["code"] == "source_missing" and name in reason["message"], reason
    assert "ran" in log(account, account.ended(good)["id"]), account.item(good)["reason"]
    assert (outside / "own.py").read_text() == "mine\n"
    assert sorted(p.name for p in outside.iterdir()) == ["own.ipynb", "own.py", "requirements.txt"]


def test_a_host_that_dies_in_between_is_asked_again(
    account, project, agent, push, environment, https, config, agent_state
):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    item = push(f"{https.url}/job.git", https.made["trunk"])
    https.cut = 2
    agent(project, options=config(credentials(https)))
    assert f"rev trunk {https.made['trunk']}" in log(account, account.ended(item)["id"])
    assert https.cut == 0 and "trying again" in log(account, item, "fetch")
    https.cut = 99
    try:
        ended = account.ended(push(f"{https.url}/job.git", https.made["trunk"]))
    finally:
        https.cut = 0
    assert ended["reason"]["code"] == "fetch_failed", ended["reason"]
    assert https.place in ended["reason"]["message"]
    # It is removed after the end was told.
    wait_until("the code to go", lambda: not list(Path(agent_state, "attempts").glob(f"{ended['id']}-*/work")))


def test_the_commit_is_in_the_run_of_the_real_client(account, project, agent, push, environment, https, config, api):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    item = push(f"{https.url}/job.git", "feature/x", entry=("python", "train.py"), patch=REAL_CLIENT)
    agent(project, options=config(credentials(https)))
    run = made_by_the_client(account, project, api, item, https.made["feature"], f"{https.url}/job.git")
    assert run.metadata["git"]["remote"] == f"{https.url}/job.git"
    assert os.environ.get("GIT_TOKEN") is None


def test_a_git_job_in_a_container(
    account, project, agent, push, environment, https, config, docker, client_base, api
):
    environment |= https.environment | {"GIT_TOKEN": PASSWORD}
    queue = account.rest.get(f"/entities/{account.name}/queues/{project}")["queue"]
    assert queue["target"] == "process"
    account.queue(f"{project}-docker", "docker")
    item = push(
        f"{https.url}/job.git", "feature/x", queue=f"{project}-docker", base_image="python:3.11-slim", build_context="."
    )
    agent(f"{project}-docker", options=config(credentials(https)))
    ended = account.ended(item, 240)
    # There is no git in the image; the commit is told all the same.
    assert f"rev feature {https.made['feature']}" in log(account, item), (ended["reason"], log(account, item))
    assert ended["source"]["commit"] == https.made["feature"]

    queue = f"{project}-docker"
    script = added("train.py", SCRIPT)
    item = push(f"{https.url}/job.git", "v1.0", ("python", "train.py"), script, queue=queue, base_image=client_base)
    made_by_the_client(account, project, api, item, https.made["first"], f"{https.url}/job.git")
