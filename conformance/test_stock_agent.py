"""The client's own agent, `wandb launch-agent`, works against our queues by the same rules."""

import json
import time

import pytest

import client_images
from lanza_server import wait_until


@pytest.fixture
def make_job(account, project, wandb_cli, code_folder):
    def make(source, name="stock") -> str:
        folder = code_folder(source, name=name)
        wandb_cli(
            "job", "create", "code", folder, "-p", project, "-e", account.name, "-n", name, "-E", "python train.py"
        )
        return f"{account.name}/{project}/{name}:latest"

    return make


def push(account, queue, body) -> str:
    path = f"/api/v1/entities/{account.name}/queues/{queue}/items"
    return account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]


def test_it_runs_a_job_fails_another_and_ends_on_request(account, project, api, launch_agent, make_job):
    account.queue(project)
    good = make_job(
        """
        import wandb
        with wandb.init(config={"lr": 0.1}) as run:
            run.log({"loss": run.config.lr})
        """
    )
    silent = make_job("print('never calls init')\n", name="silent")
    process = launch_agent(project, options=("-j", "2", "-v"))
    queued = api.job(good).call({}, project=project, entity=account.name, queue=project)
    missing = push(account, project, {"job": f"{account.name}/{project}/absent:latest", "project": project})
    never = push(account, project, {"job": silent, "project": project})

    agent = wait_until(
        "the agent",
        lambda: [a for a in account.rest.items(f"/entities/{account.name}/agents") if project in a["queues"]],
    )[0]
    assert agent["version"] == "wandb@0.31.0"

    run = queued.wait_until_finished()
    assert run.state == "finished" and run.summary["loss"] == 0.1
    item = account.ended(queued.id)
    assert item["state"] == "finished"
    assert item["run"] == run.id
    assert item["agent"] == agent["id"]

    failed = account.ended(missing, 90)
    assert failed["state"] == "failed"
    assert "absent" in json.dumps(failed["reason"])
    without = account.ended(never, 120)
    assert without["state"] == "failed"
    assert "wandb.init" in without["reason"]["message"] or "not successfully started" in without["reason"]["message"]

    # The key of the popped item was that of a job; the agent printed the spec without it.
    assert account.key not in process.text()
    account.rest.post(f"/agents/{agent['id']}/stop")
    wait_until("the end of the agent", lambda: process.popen.poll() is not None, 40)

    def gone():
        return account.rest.get(f"/agents/{agent['id']}")["agent"]["status"] == "killed"

    wait_until("the agent to be shown as killed", gone, 20)
    runs = account.rest.items(f"/entities/{account.name}/projects/{project}/runs")
    assert agent["name"] not in {r["id"] for r in runs}


def test_it_says_which_queue_is_missing(account, project, launch_agent):
    account.queue(project)
    process = launch_agent(f"absent-{project}")
    process.wait_for(rf"absent-{project}", 40)
    wait_until("the end of the agent", lambda: process.popen.poll() is not None, 20)
    assert process.popen.returncode != 0
    assert project in process.text(), "it lists the queues that there are"


def test_its_mutations_one_by_one(account, project, api):
    """Pop, acknowledge, warn and fail, with the client's own functions and without its loop."""
    from wandb.sdk.launch.api import LaunchApi

    account.queue(project)
    pushed = [
        push(account, project, {"job": f"{account.name}/{project}/any:v{n}", "project": project}) for n in range(3)
    ]
    client = LaunchApi()
    registered = client.create_launch_agent(
        account.name, "model-registry", [project], {"entity": account.name}, "0.31.0"
    )
    agent = registered["launchAgentId"]
    assert client.get_launch_agent(agent)["stopPolling"] is False

    popped = client.pop_from_run_queue(project, account.name, "model-registry", agent)
    assert popped["runQueueItemId"] == pushed[0], "first in, first out"
    spec = popped["runSpec"]
    assert spec["job"].startswith(f"{account.name}/{project}/any")
    assert spec["resource"] == "local-process"
    assert spec["author"] == account.name
    assert len(spec["_wandb_api_key"]) == 40 and spec["_wandb_api_key"] != account.key
    assert account.item(pushed[0])["state"] == "leased"
    second = client.pop_from_run_queue(project, account.name, "model-registry", agent)
    assert second["runQueueItemId"] == pushed[1]

    planned = spec["run_id"]
    assert client.ack_run_queue_item(pushed[0], planned) is True
    assert account.item(pushed[0])["state"] == "running"
    with pytest.raises(Exception, match="(?i)acknowledge"):
        client.ack_run_queue_item(pushed[0], "other")
    assert client.update_run_queue_item_warning(pushed[0], "a warning", "Kubernetes", [])
    assert any("a warning" in w for w in account.item(pushed[0])["warnings"])
    assert client.update_launch_agent_status(agent, "RUNNING")
    assert client.fail_run_queue_item(pushed[0], "the reason in words", "run", ["x/error/error.log"])
    failed = account.item(pushed[0])
    assert failed["state"] == "failed"
    assert "the reason in words" in failed["reason"]["message"]
    assert "`x/error/error.log` among the files of the agent's run" in failed["reason"]["message"]
    wire = api.queued_run(account.name, project, project, pushed[0], "model-registry")
    assert wire.state == "failed"
    assert api.queued_run(account.name, project, project, pushed[1], "model-registry").state == "leased"

    client.update_launch_agent_status(agent, "KILLED")
    client.update_launch_agent_status(agent, "POLLING")
    assert account.rest.get(f"/agents/{agent}")["agent"]["status"] == "killed", "killed is final"
    with pytest.raises(Exception, match="does not exist"):
        client.pop_from_run_queue(f"{project}-no", account.name, "model-registry", agent)


def test_a_stranger_cannot_touch_items_or_queues(account, stranger, project):
    account.queue(project)
    item = push(account, project, {"job": f"{account.name}/{project}/any:v0", "project": project})
    stranger.rest.refused("GET", f"/items/{item}", 404)
    stranger.rest.refused("POST", f"/items/{item}/stop", 404)
    stranger.rest.refused("GET", f"/entities/{account.name}/queues/{project}", 404)
    answer = stranger.rest.session.post(
        f"{stranger.rest.root}/graphql",
        json={
            "query": """mutation M($e: String!, $q: String!) { popFromRunQueue(input: {
                entityName: $e, projectName: "model-registry", queueName: $q}) { runQueueItemId runSpec } }""",
            "variables": {"e": account.name, "q": project},
        },
        timeout=30,
    ).json()
    assert not (answer.get("data") or {}).get("popFromRunQueue"), answer
    assert account.item(item)["state"] == "queued"


@pytest.fixture(scope="module")
def client_image(docker, tmp_path_factory):
    """An image with the client and a job."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "job.py").write_text(
        "import sys, time, wandb\nrun = wandb.init()\nrun.log({'loss': 0.5})\ntime.sleep(float(sys.argv[1]))\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    with client_images.client_image(docker, folder, "COPY job.py /job.py", 'ENTRYPOINT ["python", "/job.py"]') as name:
        yield name


def test_its_states_on_a_docker_queue(account, project, launch_agent, client_image, api):
    """Good, failed, stopped from here, and refused by it: each ends as an item of ours would."""
    account.queue(project, "docker")
    account.queue(f"{project}-wide", "docker", config={"volume": ["/tmp:/of-the-host"]})

    def image(seconds, code, queue=project) -> str:
        # It takes no entry point for an image, so the image has one.
        body = {"docker": {"docker_image": client_image}, "overrides": {"args": [str(seconds), str(code)]}}
        return push(account, queue, {"project": project, **body})

    good = image(0, 0)
    bad = image(0, 3)
    endless = image(600, 0)
    refused = image(0, 0, f"{project}-wide")
    process = launch_agent(project, f"{project}-wide", options=("-j", "4"))

    ended = account.ended(good, 180)
    assert ended["state"] == "finished" and ended["target"] == "docker", (ended["reason"], process.text()[-3000:])
    assert api.run(f"{account.name}/{project}/{ended['run']}").summary["loss"] == 0.5
    ended = account.ended(bad, 120)
    assert ended["state"] == "failed", ended
    assert account.run(project, ended["run"])["state"] == "failed"
    # It takes no volume, whoever asks for it; the item says so.
    ended = account.ended(refused, 120)
    assert ended["state"] == "failed" and "volume" in ended["reason"]["message"], ended["reason"]

    run = wait_until("the run", lambda: account.item(endless)["run"], 90)
    wire = api.queued_run(account.name, project, project, endless, "model-registry")
    assert wire.state == "claimed" and account.item(endless)["state"] == "running"
    account.rest.post(f"/items/{endless}/stop")
    ended = account.ended(endless, 150)
    assert ended["state"] == "stopped", ended
    assert account.run(project, run)["state"] == "killed"


def test_two_kinds_of_agents_never_share_an_item(account, project, agent, launch_agent, make_job, tmp_path):
    """Ours and the client's poll one queue; a witness counts the starts of each item."""
    account.queue(project)
    witness = tmp_path / "witness"
    witness.mkdir()
    job = make_job(
        f"""
        import os, pathlib, time, wandb
        with pathlib.Path({str(witness)!r}, os.environ["WANDB_LAUNCH_TRACE_ID"]).open("a") as file:
            file.write("begin\\n")
        with wandb.init() as run:
            time.sleep(1)
        """
    )
    other = launch_agent(project, options=("-j", "4"))
    other.wait_for("polling|agent", 60)
    ours = agent(project, options=("-j", "1"))
    ours.wait_for(project)
    by = set()
    items = []
    # The client's agent looks every ten seconds and takes one item; ours takes each at once. So some always wait, until both have had some.
    deadline = time.monotonic() + 150
    while len(by) < 2 or len(items) < 8:
        assert time.monotonic() < deadline, (by, other.text()[-2000:])
        seen = [account.item(i) for i in items]
        by = {item["agent"] for item in seen} - {None}
        waiting = sum(item["state"] == "queued" for item in seen)
        items += [push(account, project, {"job": job, "project": project}) for _ in range(waiting, 3)]
        time.sleep(0.5)
    for item in items:
        ended = account.ended(item, 240)
        assert ended["state"] == "finished", (ended["reason"], other.text()[-2000:])
        assert ended["attempt"] == 1 and len(ended["attempts"]) == 1
        assert (witness / item).read_text() == "begin\n", item
    versions = {a["id"]: a["version"].split("@")[0] for a in account.rest.items(f"/entities/{account.name}/agents")}
    assert {versions[account.item(i)["agent"]] for i in items} == {"lanza", "wandb"}
