"""The client's own agent, `wandb launch-agent`, works against our queues by the same rules."""

import json

import pytest

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
