"""Reading and editing runs with `wandb.Api()`."""

import pytest


@pytest.fixture(scope="module")
def several(account, tmp_path_factory):
    """Six runs with different configs, made in one process."""
    import wandb

    folder = tmp_path_factory.mktemp("several")
    for n in range(6):
        with wandb.init(
            project="several", id=f"run-{n}", name=f"name {n}", group="even" if n % 2 == 0 else "odd",
            tags=[f"t{n}", "all"], config={"lr": n / 10, "deep": {"x": n}}, dir=folder,
        ) as run:  # fmt: skip
            run.log({"score": n * n})
    return f"{account.name}/several"


def ids(runs) -> list:
    return [run.id for run in runs]


def test_filters_and_order(several, api):
    assert len(api.runs(several)) == 6
    assert ids(api.runs(several, order="-created_at"))[0] == "run-5"
    assert ids(api.runs(several, order="+summary_metrics.score")) == [f"run-{n}" for n in range(6)]
    assert ids(api.runs(several, order="-config.lr.value"))[0] == "run-5"
    assert set(ids(api.runs(several, {"config.lr": {"$gte": 0.3}}))) == {"run-3", "run-4", "run-5"}
    assert ids(api.runs(several, {"config.deep.x": 2})) == ["run-2"]
    assert set(ids(api.runs(several, {"group": "even"}))) == {"run-0", "run-2", "run-4"}
    assert ids(api.runs(several, {"tags": "t1"})) == ["run-1"]
    assert set(ids(api.runs(several, {"$or": [{"display_name": "name 0"}, {"summary_metrics.score": 25}]}))) == {
        "run-0",
        "run-5",
    }
    assert ids(api.runs(several, {"display_name": {"$regex": "name [12]"}}, order="+created_at")) == ["run-1", "run-2"]
    assert len(api.runs(several, {"state": "finished"})) == 6
    assert len(api.runs(several, {"unheard.of": 1})) == 0
    assert len(ids(api.runs(several, per_page=2))) == 6


def test_projects_are_listed(several, account, api):
    assert "several" in [p.name for p in api.projects(account.name)]
    assert api.default_entity == account.name
    assert api.viewer.username == account.name


def test_one_run(several, account, api):
    run = api.run(f"{several}/run-3")
    assert run.name == "name 3" and run.state == "finished"
    assert run.config == {"lr": 0.3, "deep": {"x": 3}}
    assert run.summary["score"] == 9
    assert run.entity == account.name and run.project == "several"
    assert set(run.tags) == {"t3", "all"}
    assert run.user.username == account.name
    assert run.lastHistoryStep == 0
    assert run.url == f"{account.server.url}/{several}/runs/run-3"
    with pytest.raises(Exception, match="(?i)could not find run|not found"):
        api.run(f"{several}/absent")
    with pytest.raises(Exception, match="(?i)could not find project|not found"):
        len(api.runs(f"{account.name}/there-is-no-such-project"))


def test_edits_by_the_client_are_seen_by_the_other_door(project, account, api, tmp_path):
    import wandb

    with wandb.init(project=project, id="edited", config={"a": 1}, dir=tmp_path) as run:
        run.log({"x": 1})
    run = api.run(f"{account.name}/{project}/edited")
    run.config["b"] = 2
    run.tags = ["new"]
    run.notes = "written later"
    run.display_name = "renamed"
    run.summary["y"] = 5
    run.update()
    shown = account.run(project, "edited")
    assert shown["config"] == {"a": 1, "b": 2}
    assert shown["tags"] == ["new"]
    assert shown["notes"] == "written later"
    assert shown["name"] == "renamed"
    assert shown["summary"]["y"] == 5 and shown["summary"]["x"] == 1

    path = "/api/v1" + account.run_path(project, "edited")
    account.rest.call("PATCH", path, json={"name": "again", "tags": ["a", "b"]})
    read = wandb.Api().run(f"{account.name}/{project}/edited")
    assert read.name == "again" and set(read.tags) == {"a", "b"}
    assert read.notes == "written later"


def test_a_file_added_later_and_taken_away(project, account, api, tmp_path):
    import wandb

    with wandb.init(project=project, id="files", dir=tmp_path) as run:
        run.log({"x": 1})
    (tmp_path / "späte datei=1.txt").write_text("later")
    run = api.run(f"{account.name}/{project}/files")
    added = run.upload_file(str(tmp_path / "späte datei=1.txt"), root=str(tmp_path))
    assert added.name == "späte datei=1.txt" and added.size == 5
    assert run.state == "finished", "a later file does not wake the run"
    names = {f["name"] for f in account.rest.items(account.run_path(project, "files", "/files"))}
    assert "späte datei=1.txt" in names
    run.file("späte datei=1.txt").download(root=tmp_path / "down")
    assert (tmp_path / "down" / "späte datei=1.txt").read_text() == "later"
    run.file("späte datei=1.txt").delete()
    names = {f["name"] for f in account.rest.items(account.run_path(project, "files", "/files"))}
    assert "späte datei=1.txt" not in names


def test_a_deleted_run_is_gone_and_its_artifacts_stay(project, account, api, tmp_path):
    import wandb

    with wandb.init(project=project, id="doomed", dir=tmp_path) as run:
        artifact = wandb.Artifact("survivor", type="dataset")
        with artifact.new_file("x") as file:
            file.write("still here")
        run.log_artifact(artifact)
    api.run(f"{account.name}/{project}/doomed").delete()
    account.rest.refused("GET", account.run_path(project, "doomed"), 404)
    kept = wandb.Api().artifact(f"{account.name}/{project}/survivor:latest")
    assert kept.download(root=str(tmp_path / "d"))
    assert (tmp_path / "d" / "x").read_text() == "still here"


def test_a_stranger_sees_nothing(several, stranger, account):
    import wandb

    client = wandb.Api(overrides={"base_url": account.server.url}, api_key=stranger.key)
    with pytest.raises(Exception, match="(?i)could not find|not found"):
        client.run(f"{several}/run-1").load(force=True)
    with pytest.raises(Exception, match="(?i)could not find|not found"):
        len(client.runs(several))
    stranger.rest.refused("GET", account.run_path("several", "run-1"), 404)
    stranger.rest.refused("GET", f"/entities/{account.name}/projects", 404)


def test_a_project_made_by_the_client(project, account, api):
    api.create_project(project, account.name)
    assert project in [p["name"] for p in account.rest.items(f"/entities/{account.name}/projects")]
    read = api.project(project, account.name)
    assert (read.name, read.entity) == (project, account.name)
    assert read.path == [account.name, project] and read.url.startswith(f"{account.server.url}/{account.name}/{project}")
    assert read.owner.username == account.name
    with pytest.raises(ValueError, match="not found"):
        assert api.project("there-is-no-such-project", account.name).id
    assert list(api.reports(f"{account.name}/{project}")) == [], "there are no reports in this server"


def test_a_run_made_by_the_client_and_its_state(project, account, api):
    import wandb

    made = api.create_run(run_id="by-hand", project=project, entity=account.name)
    assert (made.id, made.state) == ("by-hand", "running")
    assert account.run(project, "by-hand")["state"] == "running"
    assert made.update_state("failed") is True
    assert account.run(project, "by-hand")["state"] == "failed"
    assert made.update_state("pending") is True
    assert account.run(project, "by-hand")["state"] == "pending"
    with pytest.raises(wandb.Error):
        api.run(f"{account.name}/{project}/by-hand").update_state("finished")
    assert account.run(project, "by-hand")["state"] == "pending"


def test_console_lines_are_read_whole_in_pages_and_from_the_end(project, account, api, script):
    script(
        f"""
        import sys, wandb
        with wandb.init(project={project!r}, id="speaks"):
            for n in range(250):
                print("line", n)
            print("on the other stream", file=sys.stderr)
        """
    )
    run = api.run(f"{account.name}/{project}/speaks")
    lines = [line for line in run.console_logs(per_page=40) if line.content.startswith(("line", "on the"))]
    assert [line.content for line in lines if line.content.startswith("line")] == [f"line {n}" for n in range(250)]
    assert [line.level for line in lines if line.content.startswith("on the")] == ["error"]
    assert all(line.timestamp for line in lines)
    last = list(run.console_logs(last=5))
    whole = list(run.console_logs())
    assert [line.content for line in last] == [line.content for line in whole[-5:]]
    assert [line.number for line in whole] == list(range(len(whole)))
    assert "line 249" in account.rest.text(account.run_path(project, "speaks", "/log"))


@pytest.fixture(scope="module")
def team(account) -> str:
    """A team of the account's user and a colleague. Its name is in no other test."""
    admin = account.server.admin
    account.server.user("readers-grace")
    admin.call("POST", "/api/v1/admin/teams", expect=201, json={"name": "readers"})
    for name, role in ((account.name, "admin"), ("readers-grace", "member")):
        admin.call("PUT", f"/api/v1/admin/teams/readers/members/{name}", json={"role": role})
    return "readers"


def test_users_and_what_they_may_know_of_each_other(account, api, team):
    key = account.rest.post("/me/keys", {"description": "a second key"})
    own = api.user(account.name)
    assert (own.username, own.admin) == (account.name, False)
    assert {account.name, team} <= set(own.teams)
    assert len(own.api_keys) == len(account.rest.items("/me/keys"))
    assert key["api_key"][:4] in own.api_keys and key["api_key"] not in own.api_keys
    assert set(api.viewer.teams) == set(own.teams) and api.viewer.api_keys == own.api_keys
    colleague = api.user("readers-grace")
    assert (colleague.username, colleague.teams, colleague.api_keys) == ("readers-grace", [team], [])
    # Nobody else is found, as if there were nobody.
    account.server.user("readers-alan")
    assert api.user("readers-alan") is None and api.users("readers-alan") == []


def test_a_team_its_members_and_its_bytes(account, api, team, tmp_path):
    import wandb

    read = api.team(team)
    assert read.name == team and read.is_team is True
    assert {(m.username, m.admin) for m in read.members} == {(account.name, True), ("readers-grace", False)}
    assert read.storage_bytes == 0
    with wandb.init(entity=team, project="bytes", dir=tmp_path) as run:
        for name in ("one", "two"):
            artifact = wandb.Artifact(name, type="dataset")
            with artifact.new_file("x.bin", mode="wb") as file:
                file.write(b"b" * 100_000)
            run.log_artifact(artifact).wait()
    path = f"/entities/{team}/projects/bytes/runs/{run.id}/files"
    files = sum(f["size_bytes"] for f in account.rest.items(path))
    # The same content of two artifacts is kept once.
    assert api.team(team).storage_bytes in range(100_000 + files, 110_000 + files)


def test_alerts_are_lines_of_the_audit_trail(project, account, tmp_path):
    import wandb

    with wandb.init(project=project, id="warns", dir=tmp_path) as run:
        run.alert("too hot", "the loss is not a number")
    told = [e for e in account.rest.items("/events", entity=account.name) if e["verb"] == "alerted"]
    mine = [e for e in told if project in e["object"]]
    assert len(mine) == 1, told
    assert mine[0]["object"].endswith("warns: too hot: the loss is not a number")
    assert (mine[0]["kind"], mine[0]["actor"]) == ("run", account.name)
