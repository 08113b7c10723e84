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
