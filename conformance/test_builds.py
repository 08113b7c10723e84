"""Environments and images: built once and only when something changed, and every way in which a build fails.

The packages come from an index on loopback that counts its requests, so "nothing was installed" is a number.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from build_hosts import Index, broken_source, python_release, wheel
from lanza_server import Process, binary, wait_until

PRINT = "import pebble, sys\nprint('pebble', pebble.VERSION, 'edit', 0)\n"


@pytest.fixture(scope="module")
def index():
    started = Index()
    for made in (wheel("pebble", "1.0"), wheel("pebble", "2.0"), wheel("boulder", "1.0", 60 << 20)):
        started.add(made)
    started.add(broken_source("gravel", "1.0"))
    yield started
    started.close()


@pytest.fixture
def agent_state(tmp_path) -> Path:
    """Nothing is there when a test begins."""
    return tmp_path / "state"


@pytest.fixture
def push(account, project, api):
    """Makes a code job of these files and puts it on the project's queue."""
    import wandb
    from wandb.sdk.artifacts._internal_artifact import InternalArtifact

    def call(files, entry=("python", "job.py"), frozen=None, runtime="", body=None, name="job", **source) -> str:
        with wandb.init(entity=account.name, project=project) as run:
            code = wandb.Artifact(f"code-{name}", type="code")
            for path, text in files.items():
                with code.new_file(path, mode="wb") as file:
                    file.write(text if isinstance(text, bytes) else text.encode())
            code = run.log_artifact(code).wait()
            described = {
                "_version": "v0", "source_type": "artifact", "runtime": runtime, "input_types": {}, "output_types": {},
                "source": {
                    "artifact": f"wandb-artifact://_id/{code.id}", "entrypoint": list(entry), "notebook": False,
                    **source,
                },
            }  # fmt: skip
            artifact = InternalArtifact(name, "job")
            with artifact.new_file("wandb-job.json") as file:
                json.dump(described, file)
            if frozen:
                with artifact.new_file("requirements.frozen.txt") as file:
                    file.write(frozen)
            version = run.log_artifact(artifact).wait().version
        path = f"/api/v1/entities/{account.name}/queues/{project}/items"
        sent = {"job": f"{account.name}/{project}/{name}:{version}", "project": project, **(body or {})}
        return account.rest.call("POST", path, expect=201, json=sent).json()["item"]["id"]

    return call


@pytest.fixture(params=["uv", "pip"])
def installer(request, environment, tmp_path) -> str:
    """Leaves the agent with `uv`, or with nothing but Python's own tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    uv = shutil.which("uv", path=environment["PATH"])
    if request.param == "uv":
        if uv is None:
            pytest.fail("uv is not installed; it is in requirements.txt")
        # Every call is written down before it is made.
        wrapper = folder / "uv"
        wrapper.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/uv.log\nexec {uv} "$@"\n')
        wrapper.chmod(0o755)
    environment["PATH"] = f"{folder}:/usr/bin:/bin"
    environment["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    environment["PIP_CACHE_DIR"] = str(tmp_path / "pip-cache")
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    return request.param


@pytest.fixture
def config(tmp_path):
    def write(**fields) -> tuple:
        path = tmp_path / "launch-config.yaml"
        path.write_text(json.dumps(fields))
        return ("-c", path)

    return write


def log(account, item, phase="run") -> str:
    return account.rest.text(f"/items/{item}/logs", params={"phase": phase})


def phases(item) -> list:
    return [phase["name"] for phase in item["attempts"][-1]["phases"]]


def good(account, item, timeout=300) -> dict:
    """Waits for a run that ends well. Most of these jobs never call the client, which the server remarks on."""
    ended = account.ended(item, timeout)
    assert ended["exit_code"] == 0, (ended["reason"], log(account, item), log(account, item, "build"))
    return ended


def test_an_environment_is_built_once_and_again_when_its_needs_change(
    account, project, agent, push, index, installer, tmp_path
):
    account.queue(project)
    agent(project)
    needs = index.options() + "pebble==1.0\n"
    first = good(account, push({"job.py": PRINT, "requirements.txt": needs}))
    assert "pebble 1.0 edit 0" in log(account, first["id"])
    assert "build" in phases(first) and first["environment"]["cached"] is False
    assert first["environment"]["packages"] == ["pebble==1.0"]
    calls = tmp_path / "uv.log"
    assert calls.exists() == (installer == "uv")
    count, called = len(index.requests), calls.read_text() if calls.exists() else ""
    assert count > 0

    # The same again, other code, and the same needs in other words: nothing is installed.
    other_words = f"# other words\n\n{index.options()}\nPEBBLE  ==  1.0   # the same\n"
    for code, text in ((PRINT, needs), (PRINT.replace("0)", "7)"), needs), (PRINT, other_words)):
        again = good(account, push({"job.py": code, "requirements.txt": text}))
        assert "build" not in phases(again), text
        assert again["environment"]["digest"] == first["environment"]["digest"]
        assert again["environment"]["cached"] is True
    assert len(index.requests) == count
    assert (calls.read_text() if calls.exists() else "") == called

    second = good(account, push({"job.py": PRINT, "requirements.txt": needs.replace("1.0", "2.0")}))
    assert "pebble 2.0" in log(account, second["id"]) and "build" in phases(second)
    assert second["environment"]["digest"] != first["environment"]["digest"]
    assert len(index.requests) > count


def test_needs_of_pyproject_its_lock_and_the_frozen_list(account, project, agent, push, index, environment):
    account.queue(project)
    environment |= {"UV_DEFAULT_INDEX": f"http://127.0.0.1:{index.port}/simple"}
    agent(project)
    pyproject = '[project]\nname = "x"\nversion = "0"\ndependencies = ["pebble"]\n'
    newest = good(account, push({"job.py": PRINT, "pyproject.toml": pyproject}, frozen="pebble==9\n"))
    assert "pebble 2.0" in log(account, newest["id"])
    lock = '[[package]]\nname = "pebble"\nversion = "1.0"\nsource = { registry = "https://index.example/simple" }\n'
    locked = good(account, push({"job.py": PRINT, "pyproject.toml": pyproject, "uv.lock": lock}))
    assert "pebble 1.0" in log(account, locked["id"])
    frozen = good(account, push({"job.py": PRINT}, frozen="pebble==1.0\nno-such-package==1\ngravel==1.0\n"))
    assert "pebble 1.0" in log(account, frozen["id"])
    (warning,) = (w for w in frozen["warnings"] if "`wandb`" not in w)
    assert "no-such-package==1" in str(warning) and "gravel==1.0" in str(warning)


def test_an_environment_without_the_client_is_a_warning(account, project, agent, push, index):
    index.add(wheel("wandb", "0.0.1"))
    account.queue(project)
    agent(project)
    for needs, there in (("", False), ("pebble\n", False), ("pebble\nWandb\n", True)):
        files = {"job.py": "print(1)\n", "requirements.txt": index.options() + needs}
        warnings = good(account, push(files))["warnings"]
        assert any("`wandb` is not among" in w for w in warnings) != there, (needs, warnings)


def test_every_failure_of_an_installer_has_its_own_code(account, project, agent, push, index, installer, config):
    account.queue(project)
    closed = Index()
    closed.close()
    agent(project, options=config(max_jobs=4))
    cases = {
        "package_missing": (index.options() + "no-such-package\n", "no-such-package"),
        "package_build_failed": (index.options() + "gravel\n", "gravel"),
        "index_unavailable": (closed.options() + "pebble\n", None),
    }
    items = {
        word: push({"job.py": PRINT, "requirements.txt": text}, name=word.replace("_", "-"))
        for word, (text, _) in cases.items()
    }
    for word, (_, named) in cases.items():
        ended = account.ended(items[word], 200)
        reason = ended["reason"]
        assert (ended["state"], reason["code"]) == ("failed", word), (reason, log(account, ended["id"], "build"))
        assert phases(ended)[-1] in ("build", "upload")
        assert named is None or named in reason["message"].splitlines()[0], reason
        assert reason["help"].startswith("LZ01") and reason["hint"]
        assert log(account, ended["id"], "build")


def test_a_python_that_is_not_here(account, project, agent, push, environment):
    account.queue(project)
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    agent(project)
    for files, fields in (
        ({".python-version": "3.99\n"}, {}),
        ({"runtime.txt": "python-3.98.1\n"}, {}),
        ({}, {"runtime": "3.97"}),
    ):
        ended = account.ended(push({"job.py": "print('never')\n", **files}, **fields))
        assert ended["reason"]["code"] == "python_missing", ended["reason"]
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert "3.9" in ended["reason"]["message"] and version in ended["reason"]["message"]


@pytest.mark.parametrize("maker", ["wandb", "lanza"])
def test_a_flag_chooses_the_python_before_the_source_does(
    account, project, agent, environment, wandb_cli, lanza_cli, tmp_path, maker
):  # fmt: skip
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    account.queue(project)
    agent(project)
    command = wandb_cli if maker == "wandb" else lanza_cli
    wanted = {}
    for name, version, flag in (("file", "3.99", ()), ("flag", "3.97", ("-r", "3.97"))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "job.py").write_text("print('never')\n")
        (folder / "requirements.txt").write_text("")
        (folder / ".python-version").write_text("3.99\n")
        place = ("-p", project, "-e", account.name, "-n", name, "-E", "python job.py")
        command("job", "create", "code", folder, *place, *flag)
        path = f"/api/v1/entities/{account.name}/queues/{project}/items"
        body = {"job": f"{account.name}/{project}/{name}:latest", "project": project}
        wanted[account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]] = version
    for item, version in wanted.items():
        reason = account.ended(item)["reason"]
        assert reason["code"] == "python_missing" and f"needs Python {version};" in reason["message"], reason


def test_a_python_that_uv_brings(account, project, agent, push, environment, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    # No Python of this machine is on the agent's PATH.
    for name in ("uv", "sh", "env"):
        (programs / name).symlink_to(shutil.which(name, path=environment["PATH"]))
    installed = tmp_path / "pythons"
    version = platform.python_version()
    environment |= {
        "PATH": str(programs),
        "UV_PYTHON_DOWNLOADS_JSON_URL": python_release(tmp_path, version),
        "UV_PYTHON_INSTALL_DIR": str(installed),
        "UV_PYTHON_BIN_DIR": str(tmp_path / "links"),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "UV_OFFLINE": "1",
    }
    environment.pop("UV_PYTHON_DOWNLOADS", None)
    account.queue(project)
    agent(project)
    minor = version.rsplit(".", 1)[0]
    code = "import sys\nprint(sys.base_prefix, sys.version)\n"
    first = good(account, push({"job.py": code}, runtime=minor))
    assert f"Installed Python {version}" in log(account, first["id"], "build")
    said = log(account, first["id"])
    assert said.startswith(f"{installed}/cpython-{minor}") and f" {version} " in said, said
    again = good(account, push({"job.py": f"{code}# edited\n"}, runtime=minor))
    assert "build" not in phases(again) and log(account, again["id"]) == said


def test_a_python_that_uv_cannot_bring(account, project, agent, push, environment):
    if shutil.which("uv", path=environment["PATH"]) is None:
        pytest.fail("uv is not installed; it is in requirements.txt")
    account.queue(project)
    # uv knows this version and would download it, from a place where nobody answers.
    closed = Index()
    closed.close()
    environment |= {"UV_PYTHON_INSTALL_MIRROR": f"http://127.0.0.1:{closed.port}", "UV_HTTP_RETRIES": "0"}
    environment.pop("UV_PYTHON_DOWNLOADS", None)
    agent(project)
    ended = account.ended(push({"job.py": "print('never')\n", ".python-version": "3.8\n"}))
    reason = ended["reason"]
    assert (reason["code"], reason["help"][:2]) == ("python_missing", "LZ") and reason["hint"], reason
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "needs Python 3.8" in reason["message"] and version in reason["message"], reason
    assert str(closed.port) in log(account, ended["id"], "build"), "why uv could not bring it is in the log"


def test_an_index_that_hangs_ends_with_the_build_timeout(
    account, project, agent, push, index, installer, config, agent_state, lanza_cli, environment, tmp_path
):
    account.queue(project)
    hurried = agent(project, options=config(lanza={"timeouts": {"build": 25}}))
    index.hang = True
    try:
        item = push({"job.py": PRINT, "requirements.txt": index.options() + "pebble>=1\n"})
        # The log can be read while the build goes on.
        wait_until("the build's log", lambda: "making an environment" in log(account, item, "build"), 60)
        assert account.item(item)["ended_at"] is None
        follow = [binary(), "item", "logs", "-f", "--phase", "build", "--attempt", "1", item]
        follower = Process(follow, tmp_path / "follower.log", environment)
        follower.wait_for("making an environment", 20)
        assert account.item(item)["ended_at"] is None and follower.popen.poll() is None, "while it goes on"
        ended = account.ended(item, 90)
        wait_until("the end of the follower", lambda: follower.popen.poll() is not None, 20)
    finally:
        index.hang = False
    assert follower.text().strip() == log(account, item, "build").strip()
    assert lanza_cli("item", "logs", item, "--phase", "build", "--attempt", "1").stdout == log(account, item, "build")
    absent = lanza_cli("item", "logs", item, "--phase", "build", "--attempt", "2", check=False)
    assert "making an environment" not in absent.stdout, "there was no second attempt"
    assert ended["reason"]["code"] == "build_timeout" and "25 s" in ended["reason"]["message"]
    half = [p for p in Path(agent_state, "envs").iterdir() if p.is_dir() and not (p / "ready.json").exists()]
    assert half == []
    # Nothing holds the lock: the same needs are built as soon as the index answers, by an agent with more patience.
    assert hurried.stop() == 0
    agent(project)
    good(account, push({"job.py": PRINT, "requirements.txt": index.options() + "pebble>=1\n"}))


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True)
    if done.returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_said_and_nothing_half_is_left(
    account, project, agent, push, index, installer, environment, small_disk
):
    account.queue(project)
    state = small_disk / "state"
    agent(project, state=state)
    needs = index.options() + "pebble==1.0\nboulder==1.0\n"
    ended = account.ended(push({"job.py": PRINT, "requirements.txt": needs}), 200)
    assert ended["reason"]["code"] == "no_space", (ended["reason"], log(account, ended["id"], "build"))
    assert [p for p in (state / "envs").iterdir() if p.is_dir()] == []
    good(account, push({"job.py": "print(1)\n"}))
    # Code that cannot fit is refused before a byte of it is written.
    big = account.ended(push({"job.py": "print(1)\n", "data.bin": os.urandom(60 << 20)}), 200)
    assert big["reason"]["code"] == "no_space", big["reason"]
    assert sum(p.stat().st_size for p in (state / "cache" / "blobs").iterdir()) < 1 << 20


def test_a_link_to_the_agents_own_files_is_not_read(account, project, agent, push, index, tmp_path):
    account.queue(project)
    agent(project)
    hostile = [
        push({"job.py": "print(1)\n"}, build_context="../../.."),
        push({"job.py": "print(1)\n"}, body={"overrides": {"working_dir": "/etc"}}),
        push({"job.py": "print(1)\n"}, body={"overrides": {"working_dir": ".."}}),
    ]
    for item in hostile:
        assert account.ended(item)["reason"]["code"] == "source_missing"


def test_prune_removes_what_is_old_and_not_in_use(account, project, agent, push, index, installer, lanza_cli, tmp_path):
    account.queue(project)
    state = tmp_path / "own-state"
    agent(project, options=("-j", "2"), state=state)
    needs = index.options()
    wait = f"import time, pathlib\nwhile not pathlib.Path('{tmp_path}/go').exists(): time.sleep(0.1)\n"
    old = good(account, push({"job.py": "print(1)\n", "requirements.txt": needs + "pebble==1.0\n"}, name="old"))
    running = push({"job.py": wait, "requirements.txt": needs + "pebble==2.0\n"}, name="running")
    wait_until(
        "the run", lambda: account.item(running)["state"] == "running" and "run" in phases(account.item(running)), 120
    )
    month = time.time() - 40 * 24 * 3600
    for record in (state / "envs").glob("*/ready.json"):
        os.utime(record, (month, month))
    in_use = account.item(running)["environment"]["digest"]
    for days, dry in ((50, False), (30, True), (30, False)):
        words = ["agent", "prune", "--state", state, "--days", days, "--json"] + (["--dry-run"] if dry else [])
        told = json.loads(lanza_cli(*words).stdout)
        if days == 50:
            assert told["removed"] == [] and told["kept"] == 2
            continue
        assert [p["digest"] for p in told["removed"]] == [old["environment"]["digest"]]
        assert [p["digest"] for p in told["in_use"]] == [in_use]
        assert (state / "envs" / old["environment"]["digest"]).exists() == dry
    (tmp_path / "go").touch()
    good(account, running)
    assert "build" in phases(good(account, push({"job.py": "print(1)\n", "requirements.txt": needs + "pebble==1.0\n"})))


def test_the_agent_keeps_its_cache_small(account, project, agent, push, index, installer, config, tmp_path):
    account.queue(project)
    state = tmp_path / "own-state"
    job = {"job.py": PRINT, "requirements.txt": index.options() + "pebble==1.0\n"}
    first = agent(project, state=state)
    made = good(account, push(job))["environment"]["digest"]
    assert first.stop() == 0
    blobs, environment = list((state / "cache" / "blobs").iterdir()), state / "envs" / made
    assert blobs and environment.is_dir()
    month = time.time() - 40 * 24 * 3600

    def age():
        for path in [*blobs, environment / "ready.json"]:
            os.utime(path, (month, month))

    def left():
        return [p for p in [*blobs, environment] if p.exists()]

    limits = {"keep_days": 50, "max_size": "1t"}, {"keep_days": 30}, {"max_size": "1k"}
    for number, limit in enumerate(limits):
        age()
        running = agent(project, state=state, options=config(lanza={"cache": limit}))
        if number == 0:
            # Within the limits nothing goes, and what is used is young again.
            again = good(account, push(job))
            assert again["environment"]["cached"] is True and len(left()) == len(blobs) + 1
        else:
            wait_until("what nobody used to go", lambda: not left(), 30)
            assert good(account, push(job))["environment"]["cached"] is False
            assert len(left()) == len(blobs) + 1, "what was used just now stays, however small the limit"
        assert running.stop() == 0
