"""Images: environments and whole builds with a real Docker engine, by both builders, and a private registry."""

import io
import json
import os
import re
import shutil
import struct
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from build_hosts import Index, Registry, Tokens, bridge_address, broken_source, free_port, wheel
from needs import left_out, required
from lanza_server import wait_until
from test_builds import PRINT, config, good, log, phases, push

# Fixtures of the other file are arguments here.
# ruff: noqa: F401, F811

BASE = "python:3.11-slim"
USER, PASSWORD = "ann", "s3cret-word"


@pytest.fixture(scope="module")
def bridge(docker) -> str:
    return bridge_address(docker)


@pytest.fixture(scope="module")
def index(bridge):
    started = Index(bridge)
    for made in (wheel("pebble", "1.0"), wheel("pebble", "2.0"), broken_source("gravel", "1.0")):
        started.add(made)
    yield started
    started.close()


@pytest.fixture(params=["classic", "buildx"])
def builder(request, environment, tmp_path, docker) -> str:
    """Docker's config with the plug-in of buildx, or without it."""
    folder = tmp_path / "docker"
    folder.mkdir()
    environment["DOCKER_CONFIG"] = str(folder)
    if request.param == "buildx":
        # Where the plug-in is not installed for everybody, this variable names a Docker config that has it.
        plugins = Path(os.environ.get("BUILDX_CONFIG", Path.home() / ".docker"), "cli-plugins")
        if plugins.is_dir():
            (folder / "cli-plugins").symlink_to(plugins)
        there = subprocess.run([docker, "buildx", "version"], env=environment, capture_output=True, text=True)
        if "buildx" not in there.stdout:
            if required("buildx"):
                pytest.fail("LANZA_REQUIRE names buildx, and it is not there")
            pytest.skip("docker buildx is not there")
    return request.param


def images(docker, *filters) -> set:
    out = subprocess.run([docker, "images", "-q", "--no-trunc", *filters], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def tagged(docker, key) -> list:
    """The names of images that end in a key."""
    told = [docker, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}}"]
    out = subprocess.run(told, capture_output=True, text=True, check=True)
    return [name for name in out.stdout.split() if name.endswith(f":{key}")]


def containers(docker) -> set:
    out = subprocess.run([docker, "ps", "-aq", "--no-trunc"], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def image_id(docker, name, **environment) -> str:
    told = subprocess.run(
        [docker, "inspect", "-f", "{{.Id}}", name], capture_output=True, text=True, env={**os.environ, **environment}
    )
    return told.stdout.strip()


def test_an_environment_image_is_built_once(account, project, agent, push, docker, builder, index):
    account.queue(project, "docker")
    agent(project)
    # A line that no other test and no earlier run has, so that there is something to build.
    needs = f"{index.options()}pebble==1.0; platform_machine != 'm{time.time_ns()}'\n"
    first = good(account, push({"job.py": PRINT, "requirements.txt": needs}, runtime="3.11"))
    assert "pebble 1.0" in log(account, first["id"]) and "build" in phases(first)
    assert "pebble==1.0" in first["environment"]["packages"] and first["environment"]["cached"] is False
    build = log(account, first["id"], "build")
    assert ("Successfully built" in build) == (builder == "classic"), build
    made, count = images(docker), len(index.requests)
    for code in (PRINT, PRINT.replace("0)", "7)")):
        again = good(account, push({"job.py": code, "requirements.txt": needs}, runtime="3.11"))
        assert "build" not in phases(again) and again["environment"]["cached"] is True
        assert again["environment"]["digest"] == first["environment"]["digest"]
    assert images(docker) == made and len(index.requests) == count
    other = good(account, push({"job.py": PRINT, "requirements.txt": needs.replace("1.0", "2.0")}, runtime="3.11"))
    assert "pebble 2.0" in log(account, other["id"]) and "build" in phases(other)


def test_an_image_without_the_client_is_a_warning(account, project, agent, push, docker, index, environment, tmp_path):
    environment["DOCKER_CONFIG"] = str(tmp_path)
    index.add(wheel("wandb", "0.0.1"))
    account.queue(project, "docker")
    agent(project)
    for needs, there in (("", False), ("pebble\n", False), ("pebble\nWandb\n", True)):
        files = {"job.py": "print(1)\n", "requirements.txt": index.options() + needs}
        warnings = good(account, push(files, runtime="3.11"))["warnings"]
        assert any("`wandb` is not among" in w for w in warnings) != there, (needs, warnings)
    # What an image of somebody else's holds is not known.
    subprocess.run([docker, "tag", BASE, "lanza-test-other:1"], check=True)
    other = good(account, push({"job.sh": "true\n"}, ("sh", "job.sh"), base_image="lanza-test-other:1"))
    assert not any("`wandb`" in w for w in other["warnings"]), other["warnings"]


def test_a_dockerfile_is_built_whole_and_again_when_its_context_changes(
    account, project, agent, push, docker, builder, config
):  # fmt: skip
    account.queue(project, "docker")
    agent(project, options=config(lanza={"build": {"drop_syntax_lines": True}}))
    mark = f"mark {time.time_ns()}"
    files = {
        # The frontend does not exist: the line must go.
        "Dockerfile.wandb": f"# syntax=registry.invalid/none:1\nFROM {BASE}\nWORKDIR /app\nCOPY . /app\n",
        "job.py": "import os\nprint(open('data.txt').read(), sorted(os.listdir('/app')))\n",
        "data.txt": mark, "notes.md": "1", ".dockerignore": "*.md\n!README.md\n",
    }  # fmt: skip
    first = good(account, push(files))
    assert f"{mark} ['.dockerignore', 'Dockerfile.wandb', 'data.txt', 'job.py']" in log(account, first["id"])
    assert "build" in phases(first)
    tag = f"{account.name}/{project}/job:{first['environment']['digest']}"
    identity = image_id(docker, tag)
    assert identity
    made = images(docker)
    unseen = good(account, push({**files, "notes.md": "2", "more.md": "x"}))
    assert "build" not in phases(unseen) and unseen["environment"]["digest"] == first["environment"]["digest"]
    assert images(docker) == made and image_id(docker, tag) == identity
    seen = good(account, push({**files, "data.txt": mark + "!"}))
    assert "build" in phases(seen) and f"{mark}!" in log(account, seen["id"])

    # The job's own Dockerfile below a build context, with a command of its own; and the launch's, which wins.
    own = {
        "sub/D": f"FROM {BASE}\nCOPY job.py /job.py\nCMD [\"python\", \"/job.py\"]\n",
        "sub/Other": f"FROM {BASE}\nCOPY job.py /job.py\nENV WHICH=other\nCMD [\"python\", \"/job.py\"]\n",
        "sub/job.py": "import os\nprint('which', os.environ.get('WHICH', 'own'))\n",
    }  # fmt: skip
    plain = good(account, push(own, entry=(), dockerfile="D", build_context="sub", name="own"))
    assert "which own" in log(account, plain["id"])
    body = {"overrides": {"dockerfile": "Other"}}
    over = good(account, push(own, entry=(), dockerfile="D", build_context="sub", name="own", body=body))
    assert "which other" in log(account, over["id"])
    missing = account.ended(push(own, entry=(), dockerfile="none", build_context="sub", name="own"))
    assert missing["reason"]["code"] == "source_missing" and "`none`" in missing["reason"]["message"]


def test_every_failure_of_a_build_has_its_own_code(account, project, agent, push, docker, builder, index, config):
    account.queue(project, "docker")
    agent(project, options=config(lanza={"timeouts": {"build": 25}}))
    before = containers(docker)
    mark = time.time_ns()
    job = {"job.py": "print(1)\n"}
    cases = [
        ("base_image_missing", {**job, "Dockerfile.wandb": "FROM no-such-image-here:1\n"}, {}),
        ("base_image_missing", job, {"base_image": "no-such-base:2"}),
        ("base_image_missing", job, {"base_image": "a b#c"}),
        ("image_build_failed", {**job, "Dockerfile.wandb": f"FROM {BASE}\nRUN echo {mark} && exit 7\n"}, {}),
        # The one file system of a build step that is small: 64 MiB.
        ("no_space", {**job, "Dockerfile.wandb": f"FROM {BASE}\nRUN : {mark} && cat /dev/zero > /dev/shm/x\n"}, {}),
        ("package_missing", {**job, "requirements.txt": index.options() + f"none-{mark}\n"}, {}),
        ("package_build_failed", {**job, "requirements.txt": index.options() + "gravel\n"}, {}),
        ("build_timeout", {**job, "Dockerfile.wandb": f"FROM {BASE}\nRUN echo {mark} && sleep 1000\n"}, {}),
    ]
    for word, files, source in cases:
        ended = account.ended(push(files, runtime="3.11", **source), 120)
        reason = ended["reason"]
        assert (ended["state"], reason["code"]) == ("failed", word), (reason, log(account, ended["id"], "build"))
        assert "build" in phases(ended) or source.get("base_image") == "a b#c"
        assert len(reason["message"].splitlines()[0]) < 600 and reason["help"].startswith("LZ") and reason["hint"]
        # No tag of what was not finished: neither under the job's name nor under that of environments.
        for key in re.findall(r"building .*\b([0-9a-f]{64})\b", log(account, ended["id"], "build")):
            assert not tagged(docker, key), key

    def left():
        return not (containers(docker) - before)

    wait_until("the containers of the builds to go", left, 60)
    # The builder of the endless file is gone too, and so is its step.
    assert "sleep 1000" not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout


def test_base_images_by_queue_job_and_agent_user_and_notebook(
    account, project, agent, push, docker, environment, config
):
    def base(name: str, *lines: str) -> str:
        text = "\n".join([f"FROM {BASE}", f"ENV WHICH={name}", *lines, ""])
        subprocess.run([docker, "build", "-q", "-t", f"lanza-test-{name}:1", "-"], input=text, text=True, check=True)
        return f"lanza-test-{name}:1"

    agents, jobs, queues, gpus = base("agent"), base("job"), base("queue"), base("gpu")
    bare = base("bare", "RUN rm -rf /usr/local/bin/py* /usr/bin/py* /usr/local/bin/pip*")
    files = {"job.sh": "echo which $WHICH user $(id -u) in $(pwd) home $HOME; touch new $HOME/new\n"}
    entry = ("sh", "job.sh")
    account.queue(project, "docker")
    running = agent(project, options=config(builder={"base_image": agents}))
    assert "which agent user 1000 in /home/lanza/src home /home/lanza" in shown(account, push(files, entry))
    assert "which job user 1000" in shown(account, push(files, entry, base_image=jobs))
    body = {"resource_args": {"docker": {"builder": {"base_image": queues}}}}
    assert "which queue user 1000" in shown(account, push(files, entry, base_image=jobs, body=body))
    assert "which agent user 1234 in" in shown(account, push(files, entry, body={"docker": {"user_id": 1234}}))
    for key in ("accelerator", "cuda"):
        body = {"resource_args": {"docker": {"builder": {key: {"base_image": gpus}}}}}
        assert "which gpu" in shown(account, push(files, entry, body=body))
    # Without Python nothing can be installed, and nothing need be.
    item = push({**files, "requirements.txt": "pebble\n"}, entry, base_image=bare)
    assert "which bare" in shown(account, item)
    assert "no Python" in str(account.item(item)["warnings"])
    notebook = {"cells": [{"cell_type": "code", "source": ["!pip install x\n", "print('from a notebook')\n"]}]}
    assert "from a notebook" in shown(account, push({"n.ipynb": json.dumps(notebook)}, ("python", "n.ipynb")))
    assert running.stop() == 0


def shown(account, item) -> str:
    return log(account, good(account, item)["id"])


def test_a_dockerfile_copies_the_frozen_list(account, project, agent, push, docker):
    account.queue(project, "docker")
    agent(project)
    dockerfile = f"FROM {BASE}\nENV MARK={time.time_ns()}\nCOPY requirements.frozen.txt /app/list.txt\nCOPY . /app/\n"
    script = "print('frozen:', open('/app/list.txt').read().split())\n"
    for files, entry in (
        ({"Dockerfile.wandb": dockerfile, "job.py": script}, ("python", "/app/job.py")),
        ({"sub/Dockerfile.wandb": dockerfile, "sub/job.py": script}, ("python", "sub/job.py")),
    ):
        item = push(files, entry, frozen="pebble==1.0\n")
        ended = account.ended(item, 300)
        if entry[1].startswith("sub/"):
            # Its folder is the context, so the path of the entry point is not in the image; the copy is what counts.
            assert ended["environment"], (ended["reason"], log(account, ended["id"], "build"))
        else:
            assert "frozen: ['pebble==1.0']" in log(account, ended["id"]), ended["reason"]


def test_of_a_frozen_list_a_package_may_fail_and_the_index_may_not(
    account, project, agent, push, docker, builder, index, bridge
):
    account.queue(project, "docker")
    agent(project)
    mark = f"platform_machine != 'm{time.time_ns()}'"
    lines = f"pebble==1.0; {mark}\nno-such-package==1\ngravel==1.0\n"
    frozen = good(account, push({"job.py": PRINT}, frozen=index.options() + lines, runtime="3.11"))
    assert "pebble 1.0" in log(account, frozen["id"])
    (warning,) = (w for w in frozen["warnings"] if "`wandb`" not in w)
    assert "no-such-package==1" in warning and "gravel==1.0" in warning and "pebble" not in warning
    assert "one by one" in log(account, frozen["id"], "build")

    closed = Index(bridge)
    closed.close()
    item = push({"job.py": PRINT}, frozen=closed.options() + f"pebble==1.0; {mark}\n", runtime="3.11")
    ended = account.ended(item, 200)
    assert (ended["state"], ended["reason"]["code"]) == ("failed", "index_unavailable"), ended["reason"]
    assert ended["environment"] is None and ended["warnings"] == []
    (key,) = re.findall("building the environment ([0-9a-f]{64})", log(account, ended["id"], "build"))
    assert not image_id(docker, f"lanza-env:{key}")


# The classic builder of older engines loses the platform of a step that copies.
@pytest.mark.parametrize("builder", ["buildx"], indirect=True)
def test_a_foreign_platform_is_built_and_cannot_run_here(account, project, agent, push, docker, builder, config):
    machine = os.uname().machine
    foreign, here, kind = ("arm64", "amd64", 183) if machine == "x86_64" else ("amd64", "arm64", 62)
    account.queue(project, "docker")
    agent(project, options=config(builder={"platform": f"linux/{foreign}"}))
    # The head of a program for the other kind of processor. An archive keeps the right to execute it.
    program = struct.pack("<4s5B7x2HI3QI6H", b"\x7fELF", 2, 1, 1, 0, 0, 2, kind, 1, 4096, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program += struct.pack("<2I6Q", 1, 5, 0, 0, 0, 4096, 4096, 4096) + b"\0" * 4096
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("job")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    dockerfile = f"FROM scratch\nENV MARK={time.time_ns()}\nADD job.tar /\n"
    files = {"Dockerfile.wandb": dockerfile, "job.tar": packed.getvalue()}
    built = account.ended(push(files, ("/job",)), 120)
    assert built["environment"], (built["reason"], log(account, built["id"], "build"))
    tag = f"{account.name}/{project}/job:{built['environment']['digest']}"
    shown = subprocess.run([docker, "inspect", "-f", "{{.Os}}/{{.Architecture}}", tag], capture_output=True, text=True)
    assert shown.stdout.strip() == f"linux/{foreign}", (built["reason"], log(account, built["id"], "build"))
    # A kernel that knows how to emulate other processors, and lacks the emulator, says that something is not there.
    said = log(account, built["id"])
    assert built["state"] == "failed", said
    assert built["reason"]["code"] == "wrong_platform" or "exec /job failed: No such file" in said, built["reason"]
    # The queue's word wins, and the platform is part of the key.
    body = {"resource_args": {"docker": {"platform": f"linux/{here}"}}}
    native = account.ended(push(files, ("/job",), body=body), 120)
    assert native["environment"]["digest"] != built["environment"]["digest"]
    # An image that is here for another platform only is not taken for the one that was asked for.
    missing = account.ended(push({"job.py": "print(1)\n"}, base_image=BASE, runtime="3.11"), 120)
    assert missing["state"] == "failed", (missing["environment"], log(account, missing["id"]))
    # Some engines would build on it all the same, and refuse the container.
    reason = missing["reason"]
    assert reason["code"] == "base_image_missing" and missing["environment"] is None, reason
    assert all(word in reason["message"] for word in (BASE, f"linux/{here}", f"linux/{foreign}")), reason


def test_noop_builds_nothing(account, project, agent, push, docker, config):
    account.queue(project, "docker")
    agent(project, options=config(builder={"type": "noop", "base_image": BASE}))
    made = images(docker)
    item = good(account, push({"job.py": "print('as it is')\n", "requirements.txt": "pebble\n"}))
    assert "as it is" in log(account, item["id"]) and "build" not in phases(item)
    assert "noop" in str(item["warnings"])
    # A job that cannot do without a build is told from one that can.
    refused = account.ended(push({"job.py": "print(1)\n", "Dockerfile.wandb": f"FROM {BASE}\n"}))
    reason = refused["reason"]
    assert reason["code"] == "job_unsupported" and "`Dockerfile.wandb`" in reason["message"], reason
    assert images(docker) == made


def test_an_agent_without_the_docker_command_builds_nothing(
    account, project, agent, push, docker, environment, tmp_path
):
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("sh", "git"):
        (folder / program).symlink_to(shutil.which(program))
    account.queue(project, "docker")
    agent(project, env={**environment, "PATH": str(folder)})
    made = images(docker)
    item = good(account, push({"job.py": "print('as it is')\n", "requirements.txt": "pebble\n"}, base_image=BASE))
    assert "as it is" in log(account, item["id"]) and "build" not in phases(item)
    assert any("no `docker` command" in w and BASE in w for w in item["warnings"]), item["warnings"]
    assert images(docker) == made


def test_a_launch_chooses_its_build_among_what_its_agent_allows(account, project, agent, push, docker, config):
    account.queue(project, "docker")
    agent(project, options=config(builder={"type": "docker", "base_image": "lanza-test-never-there:1"}))
    files = {"job.py": "print('as it is')\n", "requirements.txt": f"pebble=={time.time_ns()}\n"}
    made = images(docker)
    body = {"builder": {"type": "noop", "base_image": BASE}}
    item = good(account, push(files, body=body))
    assert "as it is" in log(account, item["id"]) and "build" not in phases(item) and images(docker) == made
    assert "the launch wants nothing built" in str(item["warnings"])
    # Where images go is not a submitter's choice.
    for block in ({"builder": {"destination": "evil.example/x"}}, {"registry": {"url": "https://evil.example/x"}}):
        reason = account.ended(push(files, body=block))["reason"]
        assert reason["code"] == "builder_refused" and "evil.example/x" in reason["message"], reason
    refused = account.rest.refused(
        "POST", f"/entities/{account.name}/queues/{project}/items", 422,
        json={"job": "x", "project": project, "builder": {"credentials": {"username": "u"}}},
    )  # fmt: skip
    assert refused["code"] == "builder_refused" and "launch-config.yaml" in refused["message"], refused
    assert images(docker) == made


@pytest.fixture(scope="module")
def registry(bridge, tmp_path_factory):
    if shutil.which("docker-registry") is None or os.geteuid() != 0:
        if required("registry"):
            pytest.fail("LANZA_REQUIRE names registry, and docker-registry cannot be run")
        pytest.skip("docker-registry, run by root, is not there")
    started = Registry(tmp_path_factory.mktemp("registry"), bridge, free_port(bridge), USER, PASSWORD)
    yield started
    started.close()


@pytest.mark.parametrize("way", ["config", "helper", "login"])
def test_a_private_registry_with_tls_and_a_password(
    account, project, agent, push, docker, registry, environment, config, tmp_path, client_base, api, way
):  # fmt: skip
    account.queue(project, "docker")
    folder = tmp_path / "docker"
    folder.mkdir()
    environment |= {"DOCKER_CONFIG": str(folder), "REGISTRY_WORD": PASSWORD}
    destination = f"{registry.place}/team/{way}"
    fields = {"builder": {"type": "docker", "destination": destination}}
    if way == "config":
        credential = {"username": USER, "password_env": "REGISTRY_WORD"}
        fields["lanza"] = {"registry": {"credentials": {registry.place: credential}}}
    elif way == "helper":
        helper = tmp_path / "bin" / "docker-credential-test"
        helper.parent.mkdir()
        answer = json.dumps({"ServerURL": registry.place, "Username": USER, "Secret": PASSWORD})
        helper.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")
        helper.chmod(0o755)
        environment["PATH"] = f"{helper.parent}:{environment['PATH']}"
        (folder / "config.json").write_text(json.dumps({"credHelpers": {registry.place: "test"}}))
    else:
        subprocess.run(
            [docker, "login", "-u", USER, "--password-stdin", registry.place],
            input=PASSWORD, text=True, env=environment, check=True, capture_output=True,
        )  # fmt: skip
    mark = f"{way} {time.time_ns()}"
    files = {"Dockerfile.wandb": f"FROM {BASE}\nCOPY job.py /job.py\n", "job.py": f"print('{mark}')\n"}
    if way == "config":
        # The real client, in what was pushed and what is pulled.
        files["Dockerfile.wandb"] = f"FROM {client_base}\nCOPY job.py /job.py\n"
        files["job.py"] += "import wandb\nwith wandb.init() as run:\n    run.log({'a': 1})\n"
    options = config(**fields)
    first_agent = agent(project, options=options)
    first = good(account, push(files))
    assert mark in log(account, first["id"])
    assert [p for p in phases(first) if p in ("build", "push", "pull")] == ["build", "push"]
    key = first["environment"]["digest"]
    assert registry.requests("PUT", f"team/{way}/manifests/{key}") == 1
    # The same machine again asks nobody and pushes nothing.
    asked = registry.requests("HEAD", f"manifests/{key}")
    again = good(account, push(files))
    assert not {"build", "push", "pull"} & set(phases(again))
    assert registry.requests("HEAD", f"manifests/{key}") == asked
    assert first_agent.stop() == 0

    # Another machine, as far as one can have it here: another state, and the image is gone.
    subprocess.run([docker, "rmi", "-f", f"{destination}:{key}"], check=True, capture_output=True)
    second_agent = agent(project, options=options, state=tmp_path / "second")
    second = good(account, push(files))
    assert [p for p in phases(second) if p in ("build", "push", "pull")] == ["pull"]
    assert mark in log(account, second["id"]) and second["environment"]["digest"] == key
    if way == "config":
        for item in (first, second):
            assert item["state"] == "finished", item["reason"]
            assert api.run(f"{account.name}/{project}/{item['run']}").summary["a"] == 1
    # One request before the build, one before the pull; the rest are Docker's own.
    lines = [line for line in registry.log().splitlines() if f"manifests/{key}" in line and '"HEAD ' in line]
    assert len([line for line in lines if "lanza/" in line]) == 2, lines
    text = json.dumps([account.item(i["id"]) for i in (first, second)])
    text += log(account, first["id"], "build") + log(account, first["id"], "push") + log(account, second["id"], "pull")
    assert PASSWORD not in text
    assert not list(tmp_path.glob("second/attempts/*/build"))
    assert second_agent.stop() == 0


def test_a_stop_leaves_no_tag_and_the_log_is_read_while_it_is_written(
    account, project, agent, push, docker, builder, registry, config
):
    account.queue(project, "docker")
    credential = {"username": USER, "password": PASSWORD}
    destination = f"{registry.place}/team/stopped"
    agent(
        project,
        options=config(
            max_jobs=2, builder={"destination": destination},
            lanza={"registry": {"credentials": {registry.place: credential}}},
        ),
    )  # fmt: skip
    mark = time.time_ns()

    def begun(item, phase) -> bool:
        return account.item(item)["attempts"] and phases(account.item(item))[-1] == phase

    def stopped(item) -> str:
        account.rest.post(f"/items/{item}/stop", {"grace_seconds": 1})
        assert account.ended(item, 60)["state"] == "stopped"
        (key,) = set(re.findall(r"building \S*\b([0-9a-f]{64})\b", log(account, item, "build")))
        return key

    # In the middle of a build: its own lines are there, and it is not over.
    lines = f"RUN echo line-$((1000 + 1)) {mark}; sleep 1000\n"
    building = push({"job.py": "print(1)\n", "Dockerfile.wandb": f"FROM {BASE}\n{lines}"}, name="building")
    wait_until("a line of the build", lambda: f"line-1001 {mark}" in log(account, building, "build"), 60)
    assert begun(building, "build")
    key = stopped(building)
    assert not tagged(docker, key) and registry.requests("PUT", f"team/stopped/manifests/{key}") == 0

    # In the middle of a push, whose registry holds still.
    pause = f"RUN echo slow-$((1000 + 1)) {mark}; sleep 4\n"
    pushing = push({"job.py": "print(1)\n", "Dockerfile.wandb": f"FROM {BASE}\n{pause}"}, name="pushing")
    wait_until("the build", lambda: f"slow-1001 {mark}" in log(account, pushing, "build"), 60)
    with registry.held():
        wait_until("the push", lambda: begun(pushing, "push"), 60)
        wait_until("a line of the push", lambda: "The push refers to" in log(account, pushing, "push"), 60)
        key = stopped(pushing)
    answer = subprocess.run(
        [docker, "manifest", "inspect", f"{destination}:{key}"], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert answer.returncode != 0 and registry.requests("PUT", f"team/stopped/manifests/{key}") == 0
    # What was built whole is no half: the next try only pushes.
    assert tagged(docker, key) == [f"{destination}:{key}"]


def test_a_registry_that_refuses_the_log_in_is_said_before_anything_is_built(
    account, project, agent, push, docker, registry, environment, config, tmp_path
):  # fmt: skip
    account.queue(project, "docker")
    environment["DOCKER_CONFIG"] = str(tmp_path)
    wrong = {"username": USER, "password": "wrong"}
    agent(
        project,
        options=config(
            builder={"destination": f"{registry.place}/team/refused"},
            lanza={"registry": {"credentials": {registry.place: wrong}}},
        ),
    )
    files = {"Dockerfile.wandb": f"FROM {BASE}\nRUN echo {time.time_ns()}\n", "job.py": "print(1)\n"}
    ended = account.ended(push(files))
    assert ended["reason"]["code"] == "registry_login_failed", ended["reason"]
    assert registry.place in ended["reason"]["message"] and USER in ended["reason"]["message"]
    assert "build" not in phases(ended)
    # An image job of the same registry, and one that builds on an image from there.
    path = f"/api/v1/entities/{account.name}/queues/{project}/items"
    body = {"docker": {"docker_image": f"{registry.place}/team/config:none"}, "project": project}
    item = account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]
    assert account.ended(item)["reason"]["code"] == "registry_login_failed"


def test_a_registry_with_a_token_server(
    account, project, agent, push, docker, bridge, environment, config, tmp_path, tmp_path_factory
):  # fmt: skip
    if shutil.which("docker-registry") is None or os.geteuid() != 0:
        if required("registry"):
            pytest.fail("LANZA_REQUIRE names registry, and docker-registry cannot be run")
        pytest.skip("docker-registry, run by root, is not there")
    account.queue(project, "docker")
    environment["DOCKER_CONFIG"] = str(tmp_path)
    tokens = Tokens(tmp_path_factory.mktemp("tokens"), bridge, USER, PASSWORD)
    folder = tmp_path_factory.mktemp("tokens-registry")
    host = Registry(folder, bridge, free_port(bridge), USER, PASSWORD, auth=tokens.auth)
    mark = time.time_ns()
    files = {"Dockerfile.wandb": f"FROM {BASE}\nRUN : {mark}\nCOPY job.py /job.py\n", "job.py": f"print('{mark}')\n"}

    def options(password: str) -> tuple:
        own = {host.place: {"username": USER, "password": password}}
        return config(builder={"destination": f"{host.place}/team/tokens"}, lanza={"registry": {"credentials": own}})

    try:
        wrong = agent(project, options=options("wrong"))
        refused = account.ended(push(files))
        assert refused["reason"]["code"] == "registry_login_failed", refused["reason"]
        assert "build" not in phases(refused) and tokens.asked == [("repository:team/tokens:pull", None)]
        assert wrong.stop() == 0
        first_agent = agent(project, options=options(PASSWORD))
        first = good(account, push(files))
        key = first["environment"]["digest"]
        assert [p for p in phases(first) if p in ("build", "push", "pull")] == ["build", "push"]
        assert host.requests("PUT", f"team/tokens/manifests/{key}") >= 1
        assert any("push" in scope and who == USER for scope, who in tokens.asked)
        assert first_agent.stop() == 0
        subprocess.run([docker, "rmi", "-f", f"{host.place}/team/tokens:{key}"], check=True, capture_output=True)
        agent(project, options=options(PASSWORD), state=tmp_path / "second")
        second = good(account, push(files))
        assert [p for p in phases(second) if p in ("build", "push", "pull")] == ["pull"]
        assert str(mark) in log(account, second["id"]) and second["environment"]["digest"] == key
    finally:
        host.close()
        tokens.close()


def test_a_registry_that_dies_in_between_leaves_the_image_for_the_next_try(
    account, project, agent, push, docker, bridge, environment, config, tmp_path, tmp_path_factory
):  # fmt: skip
    if shutil.which("docker-registry") is None or os.geteuid() != 0:
        left_out("registry", "docker-registry, run by root, is not there")
    account.queue(project, "docker")
    environment["DOCKER_CONFIG"] = str(tmp_path)
    folder, port = tmp_path_factory.mktemp("mortal"), free_port(bridge)
    mortal = Registry(folder, bridge, port, USER, PASSWORD, self_signed=True)
    place = mortal.place
    fields = {
        "builder": {"destination": f"{place}/team/mortal"},
        "lanza": {"registry": {"credentials": {place: {"username": USER, "password": PASSWORD}}}},
    }
    agent(project, options=config(**fields))
    mortal.close()
    files = {"Dockerfile.wandb": f"FROM {BASE}\nRUN echo {time.time_ns()}\nCOPY . /\n", "job.py": "print(1)\n"}
    ended = account.ended(push(files), 240)
    assert ended["reason"]["code"] == "push_failed", ended["reason"]
    again = Registry(folder, bridge, port, USER, PASSWORD, self_signed=True)
    try:
        second = good(account, push(files))
        assert [p for p in phases(second) if p in ("build", "push", "pull")] == ["push"]
        assert again.requests("PUT", f"manifests/{second['environment']['digest']}") == 1
    finally:
        again.close()


def test_prune_removes_old_images_and_none_that_a_container_has(
    account, project, agent, push, docker, index, lanza_cli, tmp_path
):
    account.queue(project, "docker")
    state = tmp_path / "state"
    agent(project, options=("-j", "2"), state=state)
    wait = "import os, time\nprint('up', flush=True)\nwhile True: time.sleep(0.2)\n"

    def files(code: str, which: str) -> dict:
        return {"Dockerfile.wandb": f"FROM {BASE}\nENV MARK={which}-{time.time_ns()}\nCOPY . /\n", "job.py": code}

    old = good(account, push(files("print(1)\n", "old"), name="old"))
    running = push(files(wait, "running"), name="running")
    wait_until("the container", lambda: "up" in log(account, running), 120)
    month = time.time() - 40 * 24 * 3600
    for record in (state / "envs").glob("image-*.json"):
        os.utime(record, (month, month))
    digests = [old["environment"]["digest"], account.item(running)["environment"]["digest"]]
    tags = [f"{account.name}/{project}/{name}:{d}" for name, d in zip(("old", "running"), digests, strict=True)]
    assert all(image_id(docker, tag) for tag in tags)
    planned = json.loads(lanza_cli("agent", "prune", "--state", state, "--dry-run", "--json").stdout)
    assert [p["digest"] for p in planned["removed"]] == digests[:1] and image_id(docker, tags[0])
    told = json.loads(lanza_cli("agent", "prune", "--state", state, "--json").stdout)
    assert [p["digest"] for p in told["removed"]] == digests[:1]
    assert [p["digest"] for p in told["in_use"]] == digests[1:]
    assert not image_id(docker, tags[0]) and image_id(docker, tags[1])
