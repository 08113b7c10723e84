"""Requests that are wrong get a 4xx with a reason, and leave nothing behind."""

import json

import pytest
import requests


def post(account, **options) -> requests.Response:
    return account.rest.session.post(f"{account.rest.root}/graphql", timeout=60, **options)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"not json", None),
        (b"[]", None),
        (b"{}", "query"),
        (json.dumps({"query": "query {"}).encode(), None),
        (json.dumps({"query": "query Q { unheardOf }"}).encode(), 'Cannot query field "unheardOf" on type "Query"'),
        (json.dumps({"query": "query Q { viewer { nope } }"}).encode(), 'Cannot query field "nope" on type "User"'),
        (json.dumps({"query": "query Q($x: Int!) { project(name: $x) { id } }"}).encode(), None),
        (json.dumps({"query": "{" * 5000}).encode(), None),
        (json.dumps({"query": "{ viewer " * 200 + "}" * 200}).encode(), None),
    ],
)
def test_malformed_graphql(account, body, word):
    answer = post(account, data=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    message = answer.json()["errors"][0]["message"]
    assert message
    if word:
        assert word in message


def test_quirks_of_the_clients_are_taken(account):
    empty_name = post(account, json={"query": "query Viewer { viewer { username } }", "operationName": ""})
    assert empty_name.json()["data"]["viewer"]["username"] == account.name
    undeclared = post(account, json={"query": "query V { viewer { username } }", "variables": {"extra": 1}})
    assert undeclared.json()["data"]["viewer"]["username"] == account.name
    ten_megabytes = post(
        account,
        json={
            "query": "query P($n: String, $e: String) { project(name: $n, entityName: $e) { run(name: $n) { id } } }",
            "variables": {"n": "x" * 10_000_000, "e": account.name},
        },
    )
    assert ten_megabytes.status_code == 200, ten_megabytes.text[:300]
    assert ten_megabytes.json()["data"]["project"] is None


def test_an_oversized_body_is_refused(account):
    for path in ("/graphql", "/api/v1/entities/ada/queues", f"/files/{account.name}/p/r/file_stream"):
        # A connection of its own: the server may hang up on this one.
        caller = account.server.rest(account.key)
        try:
            answer = caller.session.post(
                caller.root + path,
                data=b'{"query": "' + b"x" * 130_000_000 + b'"}',
                headers={"Content-Type": "application/json"},
                timeout=60,
            )
        except requests.exceptions.ConnectionError:
            # It hung up in the middle, before the client had sent it all.
            continue
        assert answer.status_code == 413, (path, answer.status_code)


def test_everything_needs_a_key(account):
    nobody = account.server.rest(None)
    for method, path in [
        ("GET", "/api/v1/me"),
        ("GET", f"/api/v1/entities/{account.name}/queues"),
        ("GET", "/api/v1/items"),
        ("POST", f"/api/v1/entities/{account.name}/queues/x/items"),
        ("GET", "/api/v1/admin/users"),
        ("POST", "/graphql"),
        ("POST", f"/files/{account.name}/p/r/file_stream"),
        ("GET", f"/files/{account.name}/p/r/output.log"),
    ]:
        answer = nobody.call(method, path, expect=401, json={} if method == "POST" else None)
        assert answer.json(), path


def test_unknown_paths_are_404_in_json(account):
    for path in ("/api/v1/nothing", "/sdk/otel/v1/metrics", "/files/only"):
        answer = account.rest.session.post(account.rest.root + path, json={}, timeout=30)
        assert answer.status_code in (404, 405), (path, answer.status_code)
        assert answer.headers["content-type"].startswith("application/json"), path
        assert answer.json()


def test_operational_pages(account):
    root = account.rest.root
    assert requests.get(f"{root}/healthz", timeout=10).status_code == 200
    assert requests.get(f"{root}/ready", timeout=10).status_code == 200
    metrics = requests.get(f"{root}/metrics", timeout=10).text
    assert "# TYPE" in metrics
    document = requests.get(f"{root}/api/v1/openapi.json", timeout=10).json()
    assert document["openapi"].startswith("3.")
    assert "/api/v1/items/{id}" in document["paths"] or "/items/{id}" in document["paths"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "target": "process"},
        {"name": "x" * 65, "target": "process"},
        {"name": "fine", "target": "mainframe"},
        {"name": "fine", "target": "process", "unheard_of": 1},
        {"name": "fine", "target": "process", "templates": {"x": {"type": "nonsense"}}},
        ["not", "an", "object"],
    ],
)
def test_broken_queues_are_refused(account, body):
    path = f"/entities/{account.name}/queues"
    before = {q["name"] for q in account.rest.items(path)}
    answer = account.rest.call("POST", f"/api/v1{path}", expect=422, json=body).json()
    assert answer["code"] and answer["message"]
    assert {q["name"] for q in account.rest.items(path)} == before


def test_a_file_stream_of_a_run_that_is_not_there(account):
    answer = account.rest.session.post(
        f"{account.rest.root}/files/{account.name}/no-project/no-run/file_stream", json={"files": {}}, timeout=30
    )
    assert answer.status_code == 404
    assert answer.json()


def test_names_that_the_server_needs_are_reserved(server):
    for name in ("graphql", "api", "launch", "metrics", "model registry", "", "a/b", "x" * 200):
        answer = server.admin.call("POST", "/api/v1/admin/users", expect=422, json={"username": name})
        assert answer.json()["message"]


def test_a_lost_user_is_gone_with_his_keys(server):
    user = server.user("temporary")
    user.queue("q")
    server.admin.call("DELETE", "/api/v1/admin/users/temporary", expect=204)
    server.rest(user.key).refused("GET", "/me", 401)
    server.admin.refused("DELETE", "/admin/users/temporary", 404)
    again = server.user("temporary")
    assert again.rest.items("/entities/temporary/queues") == []


def test_team_roles(server):
    people = {name: server.user(f"team-{name}") for name in ("boss", "worker", "guest", "outsider")}
    server.admin.call("POST", "/api/v1/admin/teams", expect=201, json={"name": "crew"})
    for name, role in (("boss", "admin"), ("worker", "member"), ("guest", "viewer")):
        server.admin.call("PUT", f"/api/v1/admin/teams/crew/members/team-{name}", expect=200, json={"role": role})
    body = {"name": "shared", "target": "process"}
    people["outsider"].rest.refused("POST", "/entities/crew/queues", 404, json=body)
    people["guest"].rest.refused("POST", "/entities/crew/queues", 403, json=body)
    people["worker"].rest.refused("POST", "/entities/crew/queues", 403, json=body)
    people["boss"].rest.post("/entities/crew/queues", body)
    launch = {"job": "crew/p/j:v0", "project": "p"}
    people["guest"].rest.refused("POST", "/entities/crew/queues/shared/items", 403, json=launch)
    made = (
        people["worker"]
        .rest.call("POST", "/api/v1/entities/crew/queues/shared/items", expect=201, json=launch)
        .json()["item"]
    )
    people["outsider"].rest.refused("GET", f"/items/{made['id']}", 404)
    assert people["guest"].rest.get(f"/items/{made['id']}")["item"]["author"] == "team-worker"
    people["guest"].rest.refused("POST", f"/items/{made['id']}/stop", 403)
    people["worker"].rest.post(f"/items/{made['id']}/stop")
    robot = server.admin.call(
        "POST", "/api/v1/admin/teams/crew/service-accounts", expect=201, json={"name": "robot"}
    ).json()
    assert server.rest(robot["api_key"]).get("/me")["username"] == robot["username"]
