"""What an agent hands out of its machine: GPUs, secrets; and what it makes of the end of a job."""

import subprocess
import time
import uuid
from pathlib import Path

import pytest

from lanza_server import wait_until


@pytest.fixture
def job(account, project, lanza_cli, tmp_path) -> str:
    """A job without packages; what it does is said at the launch."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text("print('hello')\n")
    (folder / "requirements.txt").write_text("")
    lanza_cli("job", "create", "code", folder, "-p", project, "-e", account.name, "-n", "plain", "-E", "python main.py")
    return f"{account.name}/{project}/plain:latest"


def push(account, queue, job, script, **fields) -> str:
    body = {"job": job, "project": queue, **fields, "overrides": {"entry_point": ["sh", "-c", script]}}
    path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
    return account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]


def push_image(account, queue) -> str:
    """Pushes an image of Python that does nothing."""
    body = {"docker": {"docker_image": "python:3.11-slim"}, "project": queue, "overrides": {"entry_point": ["true"]}}
    path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
    return account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]


def logs(account, item, **params) -> str:
    return account.rest.text(f"/items/{item}/logs", params=params)


def ran(account, item) -> str:
    return logs(account, item, phase="run")


def test_declared_gpus_are_set_aside_for_one_item_each(account, project, agent, job, tmp_path):
    account.queue(project)
    go = tmp_path / "go"
    agent(project, options=["-j", "5", "--gpus", "2", "--cpus", "4"])
    script = f"echo gpus=$CUDA_VISIBLE_DEVICES.; while [ ! -e {go} ]; do sleep 0.1; done; exit 3"
    none = push(account, project, job, "echo gpus=$CUDA_VISIBLE_DEVICES.; exit 3")
    assert "gpus=." in ran(account, account.ended(none)["id"]), "it asked for none and sees none"
    items = [push(account, project, job, script, resources={"gpus": 1}) for _ in range(3)]

    def seen():
        return sorted(text for text in (ran(account, item) for item in items) if text)

    wait_until("two that run", lambda: len(seen()) == 2)
    assert seen() == ["gpus=0.\n", "gpus=1.\n"]
    time.sleep(1)
    waiting = [i for i in items if not ran(account, i)]
    assert len(waiting) == 1 and account.item(waiting[0])["state"] in ("queued", "leased")
    go.touch()
    for item in items:
        assert account.ended(item)["exit_code"] == 3
    assert ran(account, waiting[0]) in ("gpus=0.\n", "gpus=1.\n")


def test_a_secret_is_handed_out_by_reference_and_cut_out_of_the_log(
    account, project, agent, job, environment, tmp_path
):
    secrets = {"HF": "hf_" + uuid.uuid4().hex, "DB": "db_" + uuid.uuid4().hex, "OWN": "own-" + uuid.uuid4().hex}
    (tmp_path / "secrets.env").write_text(f"# of the agent\nDB='{secrets['DB']}'\n")
    config = tmp_path / "launch-config.yaml"
    config.write_text(
        "max_jobs: 2\nlanza:\n  secrets:\n    HF: {env: HF_OF_THE_AGENT}\n"
        f"    DB: {{env_file: {tmp_path}/secrets.env}}\n"
    )
    account.queue(project, config={"env": {"HF_TOKEN": "secret:HF", "DB_PASSWORD": "secret:DB", "PLAIN": "shown"}})
    env = {**environment, "HF_OF_THE_AGENT": secrets["HF"], "MY_OWN_TOKEN": secrets["OWN"]}
    running = agent(project, options=["-c", config], env=env)
    script = (
        "echo lengths ${#HF_TOKEN} ${#DB_PASSWORD} $PLAIN; printf %.20s $HF_TOKEN; sleep 2;"
        " echo ${HF_TOKEN#????????????????????};"
        f" echo $DB_PASSWORD $WANDB_API_KEY {account.key} {secrets['OWN']};"
        " env | grep -c -e MY_OWN -e OF_THE_AGENT; exit 3"
    )
    item = account.ended(push(account, project, job, script))
    text = ran(account, item["id"])
    assert item["exit_code"] == 3 and "lengths 35 35 shown" in text, text
    for secret in (*secrets.values(), account.key):
        assert secret not in text and secret[:20] not in text, text
    assert text.splitlines()[1:] == ["*" * 35, " ".join("*" * n for n in (35, 40, 40, 36)), "0"]
    told = str(item) + str(account.rest.post(f"/items/{item['id']}/replay")) + running.text()
    assert not any(secrets[name] in told for name in ("HF", "DB"))
    assert not any(secret in running.text() for secret in (*secrets.values(), account.key))


@pytest.mark.parametrize(
    ("script", "code", "word"),
    [
        ("python -c 'import no_such_module_at_all'", "module_missing", "`no_such_module_at_all`"),
        ("python trian.py", "file_missing", "trian.py"),
        ("python -c 'open(\"data/train.csv\")'", "file_missing", "`data/train.csv`"),
        ("printf 'def f(:\\n' > bad.py; python bad.py", "syntax_error", "SyntaxError"),
        ("python -c 'import os; os.write(os.open(\"/dev/full\", os.O_WRONLY), b\"x\")'", "job_disk_full", "No space"),
        ("python -c 'raise KeyError(\"lr\")'", "exit_code", "KeyError: 'lr'"),
        ("python -c 'bytearray(1 << 62)'", "out_of_memory", "MemoryError"),
        ("exit 4", "exit_code", "code 4"),
        ("kill -SEGV $$", "signal", "SIGSEGV"),
        ("no-such-command-here", "command_missing", "`no-such-command-here`"),
        ("python -c 'import os; os.environ[\"NOT_SET_HERE\"]'", "variable_missing", "`NOT_SET_HERE`"),
        ("python -c 'from json import no_such_name'", "package_mismatch", "no_such_name"),
        ("python -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:9/\")'", "network_failed", "refused"),
        ("sh -c 'kill -KILL $$'; exit $?", "exit_code", "SIGKILL"),
    ],
)
def test_a_failure_says_its_cause(account, project, agent, job, script, code, word, lanza_cli):
    account.queue(project)
    agent(project)
    item = account.ended(push(account, project, job, script))
    assert item["state"] == "failed" and item["phase"] == "run"
    assert item["reason"]["code"] == code, item["reason"]
    assert word in item["reason"]["message"] and item["reason"]["hint"]
    assert code in lanza_cli("explain", item["reason"]["help"]).stdout


@pytest.fixture
def small_memory():
    """A control group with 60 MB, where this user may make one."""
    root = Path("/sys/fs/cgroup")
    first = root / "memory" if (root / "memory").is_dir() else root
    group = first / f"lanza-test-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if (root / "memory").is_dir() else "memory.max")
        limit.write_text("60000000")
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group / "cgroup.procs"
    wait_until("the end of the group", lambda: not (group / "cgroup.procs").read_text().strip(), 30)
    group.rmdir()


def test_a_process_that_the_kernel_kills_for_memory_says_so(account, project, agent, job, small_memory):
    account.queue(project)
    agent(project)
    script = f"echo $$ > {small_memory}; exec python -c 'x = bytearray(400 << 20); print(len(x))'"
    item = account.ended(push(account, project, job, script))
    assert item["reason"]["code"] == "out_of_memory", item["reason"]
    assert item["signal"] == 9 and item["exit_code"] is None
    plain = account.ended(push(account, project, job, "kill -9 $$"))
    assert plain["reason"]["code"] == "signal", "somebody else's KILL is not for memory"


def test_an_item_is_replayed_here(account, project, agent, job, lanza_cli, environment, tmp_path):
    account.queue(project, config={"env": {"FLAVOUR": "sweet and sour", "TOKEN": "secret:OF_AGENT"}})
    config = tmp_path / "launch-config.yaml"
    config.write_text("lanza: {secrets: {OF_AGENT: the-agents-secret}}\n")
    agent(project, options=["-c", config])
    script = "echo flavour $FLAVOUR token ${#TOKEN} $(cat main.py) run=$WANDB_RUN_ID. key ${#WANDB_API_KEY}; exit 7"
    item = account.ended(push(account, project, job, script))
    assert item["exit_code"] == 7
    folder = tmp_path / "replay"
    done = lanza_cli("item", "replay", item["id"], "--folder", folder, timeout=180)
    line = done.stdout.strip()
    assert "OF_AGENT" in done.stderr and account.key not in line
    again = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)
    assert again.returncode == 7, (line, again.stderr)
    assert again.stdout == "flavour sweet and sour token 0 print('hello') run=. key 40\n"
    env = {**environment, "OF_AGENT": "mine"}
    done = lanza_cli("item", "replay", item["id"], "--folder", folder, "--run", check=False, env=env, timeout=180)
    assert done.returncode == 1 and "token 4" in done.stdout, done.stderr
    assert account.item(item["id"])["attempt"] == 1


def test_an_item_of_a_container_is_replayed_here(account, project, agent, docker, lanza_cli, environment, tmp_path):
    account.queue(project, "docker", config={"env": {"FLAVOUR": "sweet and sour"}, "pull": "never"})
    agent(project)
    script = "echo flavour $FLAVOUR in $(cat /etc/os-release | grep -c debian) item=$LANZA_ITEM.; exit 7"
    body = {"docker": {"docker_image": "python:3.11-slim"}, "project": project}
    body["overrides"] = {"entry_point": ["sh", "-c", script]}
    path = f"/api/v1/entities/{account.name}/queues/{project}/items"
    item = account.ended(account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"])
    assert item["exit_code"] == 7, item["reason"]
    before = ran(account, item["id"])
    line = lanza_cli("item", "replay", item["id"], "--folder", tmp_path / "replay", timeout=180).stdout.strip()
    assert line.startswith("docker run") and account.key not in line, line
    again = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)
    assert again.returncode == 7, (line, again.stderr)
    # The same, but that it is no item's any more.
    assert again.stdout == before.replace(item["id"], ""), (again.stdout, before)
    assert account.item(item["id"])["attempt"] == 1


def test_a_container_without_a_gpu_says_what_is_missing(account, project, agent, docker):
    account.queue(project, "docker", config={"gpus": 1, "pull": "never"})
    agent(project, options=["--gpus", "1"])
    item = account.ended(push_image(account, project))
    if item["reason"]["code"] == "no_init":
        pytest.skip("this machine has a GPU for containers")
    assert item["reason"]["code"] == "gpu_missing", item["reason"]
    assert item["phase"] == "start"


def test_a_fixed_name_of_containers_is_explained(account, project, agent, docker):
    name = f"lanza-test-{uuid.uuid4().hex[:8]}"
    subprocess.run([docker, "create", "--name", name, "python:3.11-slim", "true"], check=True, capture_output=True)
    try:
        account.queue(project, "docker", config={"name": name, "pull": "never"})
        agent(project)
        item = account.ended(push_image(account, project))
        assert item["reason"]["code"] == "container_name_taken", item["reason"]
        assert name in item["reason"]["message"] and "run_id" in item["reason"]["hint"]
    finally:
        subprocess.run([docker, "rm", "-f", name], check=True, capture_output=True)


def test_the_doctor_looks_at_agent_config_and_the_rest(account, project, agent, lanza_cli, environment, tmp_path):
    account.queue(project)
    agent(project).wait_for(project)
    agents = f"/entities/{account.name}/agents"
    wait_until("the agent", lambda: any(a["status"] == "polling" for a in account.rest.items(agents)))
    home = tmp_path / "config"
    (home / "wandb").mkdir(parents=True)
    (home / "wandb" / "launch-config.yaml").write_text("max_job: 2\n")
    env = {**environment, "XDG_CONFIG_HOME": str(home)}
    said = lanza_cli("doctor", check=False, env=env)
    assert said.returncode == 1
    for words in ("server at", "clock", "the key belongs", project, "`max_jobs`", "Python", "Docker", "free at"):
        assert words in said.stdout, said.stdout
