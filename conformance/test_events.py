"""The trail of who did what, as it happens: the stream of events, and what is done twice only once."""

import json

import pytest
import requests

from lanza_server import Process, binary, wait_until


@pytest.fixture
def push(account, project):
    account.queue(project)

    def call(expect=201, **fields) -> dict:
        body = {"job": f"{account.name}/{project}/any:v0", "project": project, **fields}
        path = f"/api/v1/entities/{account.name}/queues/{project}/items"
        return account.rest.call("POST", path, expect=expect, json=body).json()["item"]

    return call


def stream(account, last: str | None = None, **params) -> requests.Response:
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {account.key}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    url = f"{account.rest.root}/api/v1/events"
    answer = requests.get(url, params=params, headers=headers, stream=True, timeout=20)
    assert answer.ok and answer.headers["content-type"].startswith("text/event-stream"), answer.text
    return answer


def read(answer: requests.Response, objects: set) -> list:
    """Reads the events of a stream until each of these objects was named: ids and events."""
    found, number = [], None
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith("id:"):
            number = line.removeprefix("id:").strip()
        elif line.startswith("data:"):
            event = json.loads(line.removeprefix("data:"))
            assert str(event["id"]) == number, "the id of the stream is the event's"
            found.append(event)
            if objects <= {e["object"] for e in found}:
                return found
    raise AssertionError(f"the stream ended before {objects}: {found}")


def test_the_stream_of_events_goes_on_where_it_broke_off(account, project, push):
    with stream(account, entity=account.name) as live:
        first, second = push()["id"], push()["id"]
        seen = read(live, {first, second})
    by_object = {e["object"]: e for e in seen}
    event = by_object[first]
    assert set(event) >= {"id", "time", "actor", "verb", "kind", "object"}, event
    assert (event["actor"], event["kind"]) == (account.name, "item")
    third = push()["id"]
    with stream(account, last=str(event["id"]), entity=account.name) as again:
        missed = read(again, {second, third})
    assert [e["id"] for e in missed] == sorted({e["id"] for e in missed}), "each once, in order"
    assert missed[0]["id"] > event["id"] and first not in {e["object"] for e in missed}
    # The same by the list, which is how somebody without a stream goes on.
    listed = account.rest.items("/events", entity=account.name, after=event["id"])
    assert [e["id"] for e in missed] == [e["id"] for e in listed][: len(missed)]
    account.rest.refused("GET", "/events", 422, headers={"Accept": "text/event-stream", "Last-Event-ID": "x"})


def test_events_are_followed_on_the_command_line(account, project, push, environment, tmp_path):
    before = account.rest.items("/events", entity=account.name)[-1]["id"]
    follow = [binary(), "events", "-f", "--json", "-e", account.name, "--after", before]
    follower = Process(follow, tmp_path / "events.log", environment)
    try:
        item = push()["id"]
        follower.wait_for(item, 20)
        account.rest.post(f"/items/{item}/stop")
        follower.wait_for(r'"verb":\s*"stopped"', 20)
        lines = [json.loads(line) for line in follower.text().splitlines() if line.startswith("{")]
        assert [e["verb"] for e in lines if e["object"] == item][-1] == "stopped", lines
    finally:
        follower.kill()


def test_a_launch_with_a_key_is_one_launch_through_every_door(account, project, push, lanza_cli):
    first = push(idempotency_key="once")["id"]
    assert push(expect=None, idempotency_key="once")["id"] == first
    job = f"{account.name}/{project}/any:v0"
    key = ("--idempotency-key", "once")
    launched = lanza_cli("launch", "-q", project, "-e", account.name, "-j", job, "-p", project, *key)
    assert launched.stdout.strip() == first
    mutation = """mutation P($e: String!, $q: String!, $s: JSONString!) { pushToRunQueueByName(input: {
        entityName: $e, projectName: "model-registry", queueName: $q, runSpec: $s}) { runQueueItemId } }"""
    spec = json.dumps({"job": job, "project": project, "idempotency_key": "once"})
    answer = account.rest.graphql(mutation, {"e": account.name, "q": project, "s": spec})
    assert answer["data"]["pushToRunQueueByName"]["runQueueItemId"] == first, answer
    assert push(idempotency_key="twice")["id"] != first
    assert len(account.rest.items("/items", entity=account.name, queue=project)) == 2


def test_an_agent_that_is_drained_ends_its_work_and_itself(account, project, agent, lanza_cli, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text("print('hello')\n")
    (folder / "requirements.txt").write_text("")
    lanza_cli("job", "create", "code", folder, "-p", project, "-e", account.name, "-n", "plain", "-E", "python main.py")
    account.queue(project)
    running = agent(project, options=["-j", "1"], state=tmp_path / "state")
    go = tmp_path / "go"

    def push_job(script) -> str:
        body = {"job": f"{account.name}/{project}/plain:latest", "project": project}
        body["overrides"] = {"entry_point": ["sh", "-c", script]}
        path = f"/api/v1/entities/{account.name}/queues/{project}/items"
        return account.rest.call("POST", path, expect=201, json=body).json()["item"]["id"]

    first = push_job(f"while [ ! -e {go} ]; do sleep 0.1; done; exit 3")
    wait_until("the first to run", lambda: account.item(first)["phase"] == "run", 60)
    second = push_job("exit 4")
    name = account.item(first)["agent"]
    lanza_cli("agent", "drain", name)
    wait_until("the drain", lambda: account.rest.get(f"/agents/{name}")["agent"]["status"] == "draining", 20)
    assert account.item(first)["state"] == "running" and running.popen.poll() is None, "it ends what it has"
    go.touch()
    assert account.ended(first)["exit_code"] == 3
    wait_until("the end of the agent", lambda: running.popen.poll() is not None, 30)
    assert running.popen.returncode == 0, running.text()[-3000:]
    assert account.item(second)["state"] == "queued", "it took nothing new"
