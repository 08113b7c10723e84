"""Requests that are wrong get a 4xx with a reason, and leave nothing behind."""

import json
import socket

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


@pytest.mark.parametrize(
    ("path", "mebibytes"),
    [("/graphql", 33), ("/files/ada/p/r/file_stream", 33), ("/api/v1/entities/ada/queues", 9)],
)
def test_an_oversized_body_is_refused(account, path, mebibytes):
    """A little over the limit, which the server reads away: the answer arrives, with its code, and the connection lives."""
    answer = post_to(account, path, b"x" * (mebibytes << 20))
    body = answer.json()
    error = body["errors"][0] if "errors" in body else {"extensions": body, **body}
    assert (answer.status_code, error["extensions"]["code"]) == (413, "too_large"), answer.text[:300]
    assert "larger" in error["message"] or "MiB" in error["message"], body
    assert account.rest.get("/me")["username"] == account.name


def test_a_body_that_does_not_end_is_not_read_to_its_end(account):
    with socket.create_connection(("127.0.0.1", account.server.port), timeout=60) as connection:
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {account.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 130000000\r\n\r\n"
        )
        # One byte too much, so that nothing is left unread: closing with something unread may lose the answer.
        connection.sendall(head.encode() + b"x" * ((32 << 20) + 1))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    text = answer.decode()
    assert text.startswith("HTTP/1.1 413") and "too_large" in text, text
    assert "connection: close" in text.lower(), text


def post_to(account, path: str, body: bytes) -> requests.Response:
    session = account.rest.session
    headers = {"Content-Type": "application/json"}
    return session.post(account.rest.root + path, data=body, headers=headers, timeout=60)


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
