"""What a container of a job has, and what it must not have, looked at from its inside on a real engine."""

import json
import subprocess
import time
import uuid

import pytest

from lanza_server import wait_until

BASE = "python:3.11-slim"
LOOK = """
import json, os, resource
print("LOOK " + json.dumps({
    "env": dict(os.environ),
    "cwd": os.getcwd(),
    "user": [os.getuid(), os.getgid()],
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
    "mounts": [line.split()[1] for line in open("/proc/mounts")],
}))
"""


@pytest.fixture
def push(account, project):
    def call(body, queue=project, expect=201) -> str:
        path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
        made = account.rest.call("POST", path, expect=expect, json={"project": project, **body}).json()
        return made["item"]["id"] if expect == 201 else made

    return call


def look(entry=("python", "-c", LOOK), **fields) -> dict:
    return {"docker": {"docker_image": BASE}, "overrides": {"entry_point": list(entry)}, **fields}


def log(account, item) -> str:
    return account.rest.text(f"/items/{item}/logs", params={"phase": "run"})


def seen(account, item) -> dict:
    """What the job printed of itself. It never calls the client, so only its exit code is good."""
    ended = account.ended(item)
    assert ended["exit_code"] == 0, (ended["reason"], log(account, item))
    (line,) = [x for x in log(account, item).splitlines() if x.startswith("LOOK ")]
    return json.loads(line.removeprefix("LOOK "))


def test_the_variables_and_macros_of_a_container(account, project, agent, push, docker, environment):
    environment |= {"OF_THE_AGENT": "handed out by the queue", "HIDDEN": "stays with the agent"}
    names = ("project_name", "entity_name", "run_id", "run_name", "image_uri", "author", "OF_THE_AGENT", "no_such")
    config = {"env": ["OWN=of the queue", "OF_THE_AGENT", *(f"M_{n}=<${{{n}}}>" for n in names)], "user": "1234:5"}
    account.queue(project, "docker", config=config)
    agent(project)
    body = look(name="tall-tree", run_id="fixed123")
    body["overrides"] |= {"run_config": {"lr": 0.5}, "files": {"a.yaml": {"x": 1}}, "artifacts": {"data": "e/p/d:v0"}}
    item = push(body)
    found = seen(account, item)
    env = found["env"]
    assert env["OWN"] == "of the queue" and env["OF_THE_AGENT"] == "handed out by the queue"
    macros = {n: env[f"M_{n}"] for n in names}
    assert macros == {
        "project_name": f"<{project}>", "entity_name": f"<{account.name}>", "run_id": "<fixed123>",
        "run_name": "<tall-tree>", "image_uri": f"<{BASE}>", "author": f"<{account.name}>",
        "OF_THE_AGENT": "<handed out by the queue>", "no_such": "<${no_such}>",
    }  # fmt: skip
    apart = ("WANDB_API_KEY", "WANDB_BASE_URL")
    assert {n: v for n, v in env.items() if n.startswith("WANDB_") and n not in apart} == {
        "WANDB_PROJECT": project, "WANDB_ENTITY": account.name, "WANDB_LAUNCH": "True", "WANDB_RUN_ID": "fixed123",
        "WANDB_NAME": "tall-tree", "WANDB_DOCKER": BASE,
        "WANDB_LAUNCH_QUEUE_NAME": project, "WANDB_LAUNCH_QUEUE_ENTITY": account.name, "WANDB_LAUNCH_TRACE_ID": item,
        "WANDB_CONFIG": '{"lr":0.5}', "WANDB_LAUNCH_FILE_OVERRIDES": '{"a.yaml":{"x":1}}',
        "WANDB_ARTIFACTS": '{"data":"e/p/d:v0"}',
    }  # fmt: skip
    assert len(env["WANDB_API_KEY"]) == 40 and env["WANDB_API_KEY"] != account.key
    assert env["WANDB_BASE_URL"].rsplit(":", 1)[1] == str(account.server.port)
    assert "HIDDEN" not in env and account.key not in json.dumps(env)
    assert found["user"] == [1234, 5]


def test_options_of_docker_run_reach_the_engine(account, project, agent, push, docker, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    config = {
        "volume": [f"{shared}:/of-the-queue:ro"], "ulimit": ["nofile=321:654"], "shm-size": "8m", "memory": "200m",
        "--Cpus": 0.5, "pids_limit": 99, "workdir": "/tmp", "label": {"team": "vision"},
    }  # fmt: skip
    account.queue(project, "docker", config=config)
    agent(project)
    # The launch's own layer: names in any spelling, and a value that replaces the queue's.
    code = f"import time\n{LOOK}\ntime.sleep(300)"
    item = push(look(("python", "-u", "-c", code), resource_args={"docker": {"SHM_SIZE": "16m", "cpu-shares": 7}}))
    wait_until("the container", lambda: "LOOK " in log(account, item), 90)
    (container,) = subprocess.run(
        [docker, "ps", "-q", "--filter", f"label=lanza.item={item}"], capture_output=True, text=True
    ).stdout.split()
    shown = json.loads(subprocess.run([docker, "inspect", container], capture_output=True, text=True).stdout)[0]
    account.rest.post(f"/items/{item}/stop", {"grace_seconds": 1})
    assert account.ended(item, 30)["state"] == "stopped"
    assert subprocess.run([docker, "inspect", container], capture_output=True).returncode != 0, "it is removed"
    host = shown["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"], host["CpuShares"]) == (200 << 20, 500_000_000, 99, 7)
    assert f"{shared}:/of-the-queue:ro" in host["Binds"]
    assert shown["Config"]["Labels"]["team"] == "vision"
    line = next(x for x in log(account, item).splitlines() if x.startswith("LOOK "))
    found = json.loads(line.removeprefix("LOOK "))
    assert found["cwd"] == "/tmp" and found["files"] == [321, 654] and found["shm"] == 16 << 20
    assert "/of-the-queue" in found["mounts"]


def test_an_option_that_docker_run_does_not_have_is_named(account, project, agent, push, docker):
    """At the launch where it is there to be seen, by the agent where one of its own variables says it."""
    account.queue(project, "docker", config={"volumme": ["/a:/b"]})
    refused = push(look(), expect=422)
    assert refused["code"] == "config_refused" and "did you mean `volume`" in refused["message"], refused
    account.rest.call(
        "PATCH", f"/api/v1/entities/{account.name}/queues/{project}", expect=200, json={"config": {"memory": "${HOME}"}}
    )
    agent(project)
    ended = account.ended(push(look()))
    assert (ended["state"], ended["reason"]["code"]) == ("failed", "config_refused")
    assert "memory" in ended["reason"]["message"]


def test_a_local_image_will_do_where_the_pull_fails(account, project, agent, push, docker):
    name = f"lanza-test-local-{uuid.uuid4().hex[:8]}:1"
    subprocess.run([docker, "tag", BASE, name], check=True)
    try:
        account.queue(project, "docker")
        agent(project)
        body = look(("echo", "it ran"), docker={"docker_image": name})
        item = push(body)
        assert account.ended(item)["exit_code"] == 0
        assert "it ran" in log(account, item)
        assert any(name in str(w) and "local" in str(w) for w in account.item(item)["warnings"])
        gone = account.ended(push(look(docker={"docker_image": f"no-such-image-{uuid.uuid4().hex[:8]}:1"})))
        assert gone["reason"]["code"] == "image_missing" and gone["phase"] == "pull", gone["reason"]
    finally:
        subprocess.run([docker, "rmi", name], capture_output=True)


def test_the_command_of_an_image_job(account, project, agent, push, docker):
    """Arguments go to the image's own command, an entry point takes its place, quotes and blanks survive."""
    name = f"lanza-test-entry-{uuid.uuid4().hex[:8]}:1"
    text = f'FROM {BASE}\nENTRYPOINT ["echo", "own entry:"]\nCMD ["default"]\n'
    subprocess.run([docker, "build", "-q", "-t", name, "-"], input=text, text=True, check=True, capture_output=True)
    try:
        account.queue(project, "docker")
        agent(project)
        image = {"docker": {"docker_image": name}}
        hard = ["a b", "$HOME", "'q'", ";id"]
        bodies = {
            "own entry: default": {},
            "own entry: a b $HOME 'q' ;id": {"overrides": {"args": hard}},
            "other a b $HOME 'q' ;id": {"overrides": {"entry_point": ["echo", "other"], "args": hard}},
        }
        items = {line: push({**image, **body}) for line, body in bodies.items()}
        for line, item in items.items():
            assert account.ended(item)["exit_code"] == 0
            assert log(account, item).splitlines() == [line]
    finally:
        subprocess.run([docker, "rmi", name], capture_output=True)


@pytest.mark.parametrize("target", ["process", "docker"])
def test_a_stop_waits_as_long_as_the_agents_config_says(
    account, project, agent, push, request, tmp_path, target, api, wandb_cli, code_folder
):
    """`stopped_run_timeout`: TERM, that many seconds, KILL; a job that ends by itself in between is not killed."""
    config = tmp_path / "launch-config.yaml"
    config.write_text("stopped_run_timeout: 3\nmax_jobs: 2\n")
    source = (
        "import signal, sys, time\n"
        "def on(*_):\n    print('told', flush=True)\n    (sys.exit(0) if 'polite' in sys.argv else None)\n"
        "signal.signal(signal.SIGTERM, on)\nprint('up', flush=True)\n"
        "while True: time.sleep(0.1)\n"
    )
    account.queue(project, target)
    if target == "docker":
        request.getfixturevalue("docker")
        body = {"docker": {"docker_image": BASE}, "overrides": {"entry_point": ["python", "-c", source]}}
    else:
        folder = code_folder(source, requirements="")
        where = ("-p", project, "-e", account.name)
        wandb_cli("job", "create", "code", folder, *where, "-n", "s", "-E", "python train.py")
        body = {"job": f"{account.name}/{project}/s:latest", "overrides": {}}
    agent(project, options=("-c", config))
    polite = push({**body, "overrides": {**body["overrides"], "args": ["polite"]}})
    stubborn = push(body)
    for item in (polite, stubborn):
        wait_until("the job", lambda i=item: "up" in log(account, i), 90)
    begun = time.monotonic()
    for item in (polite, stubborn):
        account.rest.post(f"/items/{item}/stop")
    assert account.ended(polite, 30)["state"] == "stopped"
    assert account.ended(stubborn, 30)["state"] == "stopped"
    took = time.monotonic() - begun
    assert 3 <= took < 3 + 10, took
    for item in (polite, stubborn):
        assert "told" in log(account, item)
