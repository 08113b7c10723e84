"""Fixtures: one server and one isolated home for the session, one project for each test.

`wandb` is imported by the tests only after `account` has prepared the environment, because the client reads its
settings from there. LANZA_REQUIRE names what must be there: `docker,registry` makes a skip for want of either a failure.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_images import client_image
from git_server import GitServer
from lanza_server import REPOSITORY, Account, Process, Server, binary
from needs import left_out

CLIENT_FOLDER = Path(sys.executable).parent

# A shell in the background lets its programs ignore interrupts, theirs do, too, and the client stops a script by one.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    assert started.process.stop() == 0, started.process.text()[-4000:]
    panics = [line for line in started.process.text().splitlines() if "panicked at" in line]
    assert not panics, panics


@pytest.fixture(scope="session")
def account(server, tmp_path_factory) -> Iterator[Account]:
    """The user of most tests. This process and its children act as this user in a home of their own."""
    user = server.user("ada")
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith(("WANDB_", "LANZA_"))]:
        if name not in ("LANZA_REQUIRE", "LANZA_BIN"):
            del os.environ[name]
    os.environ.update(client_environment(user, tmp_path_factory.mktemp("home")))
    yield user
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def stranger(server) -> Account:
    """A user who shares no team with the first one."""
    return server.user("mallory")


def client_environment(user: Account, home: Path) -> dict:
    cache = REPOSITORY / ".cache"
    (home / "wandb").mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": f"{CLIENT_FOLDER}{os.pathsep}{os.environ['PATH']}",
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        # Downloaded packages are the one thing that is kept between sessions.
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(cache / "uv")),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(cache / "pip")),
        "WANDB_BASE_URL": user.server.url,
        "WANDB_API_KEY": user.key,
        "WANDB_DIR": str(home / "wandb"),
        "WANDB_CONFIG_DIR": str(home / "config"),
        "WANDB_CACHE_DIR": str(home / "cache"),
        "WANDB_DATA_DIR": str(home / "data"),
        "WANDB_ARTIFACT_DIR": str(home / "artifacts"),
        "WANDB_ERROR_REPORTING": "false",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
    }


@pytest.fixture
def environment(account, tmp_path) -> dict:
    """A copy of the client's environment that a test may change for the programs that it starts."""
    return fresh_environment()


def fresh_environment() -> dict:
    """The environment of a new process: without the client's own background service of this one."""
    return {name: value for name, value in os.environ.items() if name not in ("WANDB_SERVICE", "_WANDB_STARTUP_DEBUG")}


@pytest.fixture
def project(account, request) -> str:
    """A project name that no other test uses."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{words[:40]}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def api(account):
    import wandb

    return wandb.Api()


@pytest.fixture
def wandb_cli(account, environment, tmp_path):
    """Runs the `wandb` command and returns the completed process, with stdout and stderr together in `stdout`."""

    def call(*arguments, check=True, timeout=120, cwd=None, env=None):
        return _call([CLIENT_FOLDER / "wandb", *arguments], check, timeout, cwd or tmp_path, env or environment, True)

    return call


@pytest.fixture
def lanza_cli(account, environment, tmp_path):
    """Runs our command line and returns the completed process, with stdout and stderr apart."""

    def call(*arguments, check=True, timeout=120, cwd=None, env=None):
        return _call([binary(), *arguments], check, timeout, cwd or tmp_path, env or environment, False)

    return call


@pytest.fixture
def script(account, environment, tmp_path):
    """Writes a Python script and runs it with the client installed, as a person would."""

    def call(source, *arguments, name="train.py", check=True, timeout=120, env=None):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return _call([sys.executable, path, *arguments], check, timeout, tmp_path, env or environment, True)

    return call


def _call(arguments, check, timeout, cwd, env, together):
    done = subprocess.run(
        [str(a) for a in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env=env,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr or ''}")
    return done


@pytest.fixture
def code_folder(tmp_path):
    """Makes a folder with a script and its requirements, ready for `wandb job create code`."""

    def make(source, requirements="wandb==0.31.0\n", name="source") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.py").write_text(textwrap.dedent(source))
        (folder / "requirements.txt").write_text(requirements)
        return folder

    return make


@pytest.fixture(scope="session")
def agent_state(tmp_path_factory) -> Path:
    """One state folder for all agents of the session: the environments that they build are built once."""
    return tmp_path_factory.mktemp("agent") / "state"


@pytest.fixture
def agent(account, environment, agent_state, tmp_path) -> Iterator:
    """Starts `lanza agent` for queues of the account. It is ended with SIGTERM and must obey."""
    started: list[Process] = []

    def start(*queues, options=(), env=None, state=None):
        arguments = [binary(), "agent", "-e", account.name, "--state", state or agent_state]
        for queue in queues:
            arguments += ["-q", queue]
        process = Process([*arguments, *options], tmp_path / f"agent-{len(started)}.log", env or environment, tmp_path)
        started.append(process)
        return process

    yield start
    if any(process.popen.poll() is None for process in started):
        # What a failed test left running must not be adopted by the agent of the next one.
        account.stop_everything()
    for process in started:
        if process.popen.poll() is None:
            assert process.stop(12) == 0, process.text()[-4000:]


@pytest.fixture
def launch_agent(account, environment, tmp_path) -> Iterator:
    """Starts the client's own agent, `wandb launch-agent`, unmodified."""
    started: list[Process] = []

    def start(*queues, options=(), env=None):
        arguments = [CLIENT_FOLDER / "wandb", "launch-agent", "-e", account.name]
        for queue in queues:
            arguments += ["-q", queue]
        process = Process([*arguments, *options], tmp_path / "launch-agent.log", env or environment, tmp_path)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture(scope="session")
def docker() -> str:
    """The path of the `docker` command, with an engine that answers and a Python image on it."""
    command = shutil.which("docker")
    missing = None
    if command is None:
        missing = "there is no `docker` command"
    elif subprocess.run([command, "info"], capture_output=True).returncode != 0:
        missing = "no Docker engine answers"
    if missing:
        left_out("docker", missing)
    return command


@pytest.fixture(scope="session")
def client_base(docker, tmp_path_factory) -> Iterator[str]:
    """The name of an image to build on that has the client."""
    with client_image(docker, tmp_path_factory.mktemp("client")) as name:
        yield name


@pytest.fixture(scope="session")
def git_server(tmp_path_factory) -> Iterator[GitServer]:
    started = GitServer(tmp_path_factory.mktemp("git"))
    yield started
    started.close()
