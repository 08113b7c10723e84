"""What `wandb.init`, `log`, `save`, `log_code` and `finish` write is read back through the native API."""

import base64
import hashlib
import json
import math
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import CLIENT_FOLDER, fresh_environment
from lanza_server import Process, wait_until

TRAIN = """
    import sys, time
    from pathlib import Path
    import wandb

    with wandb.init(project="{project}", id="{run}", name="first try", notes="a note", tags=["b", "a"], group="g",
                    job_type="train", config={{"lr": 0.25, "layers": [1, 2], "deep": {{"x": None}}}},
                    settings=wandb.Settings(x_stats_sampling_interval=0.5)) as run:
        run.config.update({{"late": "yes"}})
        for step in range(20):
            run.log({{"loss": 1.0 / (step + 1), "nested": {{"value": step}}, "odd": step}} if step % 2
                    else {{"loss": 1.0 / (step + 1), "nested": {{"value": step}}}})
        run.log({{"bad": float("nan"), "huge": float("inf"), "small": float("-inf")}})
        run.summary["best"] = 0.05
        print("a line on stdout")
        print("a line on stderr", file=sys.stderr)
        Path("notes.txt").write_text("kept\\n")
        Path("empty.txt").write_text("")
        run.save("notes.txt")
        run.save("empty.txt")
        run.log_code(".")
        run.alert("watch out", "the text")
        time.sleep(1.5)
"""


@pytest.fixture(scope="module")
def trained(account, tmp_path_factory):
    """A run of a script in a process of its own, read by several tests."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.py").write_text(textwrap.dedent(TRAIN.format(project="tracking", run="trained1")))
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=fresh_environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{account.server.url}/{account.name}/tracking/runs/trained1" in done.stderr
    return account.run("tracking", "trained1")


def test_a_run_has_what_the_script_gave_it(account, trained):
    assert trained["state"] == "finished"
    assert trained["name"] == "first try"
    assert trained["author"] == account.name
    assert set(trained["tags"]) == {"a", "b"}
    assert trained["ended_at"] >= trained["created_at"]
    config = trained["config"]
    assert {k: config[k] for k in ("lr", "layers", "deep", "late")} == {
        "lr": 0.25,
        "layers": [1, 2],
        "deep": {"x": None},
        "late": "yes",
    }
    assert trained["summary"]["best"] == 0.05
    assert trained["summary"]["loss"] == pytest.approx(1 / 20)
    assert trained["summary"]["bad"] == "NaN"
    assert trained["summary"]["huge"] == "Infinity"


def test_history_has_every_step_in_order(account, trained):
    path = account.run_path("tracking", "trained1", "/history")
    series = account.rest.get(path, params={"keys": "loss,odd,nested.value", "points": 500})["series"]
    assert [point[0] for point in series["loss"]] == list(range(20))
    assert [point[1] for point in series["loss"]] == pytest.approx([1 / (step + 1) for step in range(20)])
    assert [point[:2] for point in series["odd"]] == [[step, step] for step in range(1, 20, 2)]
    assert [point[1] for point in series["nested.value"]] == list(range(20))
    few = account.rest.get(path, params={"keys": "loss", "points": 5})["series"]["loss"]
    assert 2 <= len(few) <= 10
    assert min(point[2] for point in few) == pytest.approx(1 / 20)
    assert max(point[3] for point in few) == pytest.approx(1.0)


def test_not_a_number_survives_the_way_through_both_doors(account, trained, api):
    run = api.run(f"{account.name}/tracking/trained1")
    assert math.isnan(run.summary["bad"])
    rows = [row for row in run.scan_history() if row.get("huge") is not None]
    assert len(rows) == 1
    assert math.isnan(float(rows[0]["bad"]))
    assert float(rows[0]["huge"]) == math.inf
    assert float(rows[0]["small"]) == -math.inf


def test_console_output_is_complete(account, trained):
    text = account.rest.text(account.run_path("tracking", "trained1", "/log"))
    assert "a line on stdout" in text
    assert "a line on stderr" in text


def test_system_metrics_arrive(account, trained):
    answer = account.rest.get(account.run_path("tracking", "trained1", "/system"))
    keys = answer["series"].keys()
    assert any("cpu" in key for key in keys), sorted(keys)
    assert all(points for points in answer["series"].values())


def test_files_are_listed_and_byte_equal(account, trained, api, tmp_path):
    listed = {f["name"]: f for f in account.rest.items(account.run_path("tracking", "trained1", "/files"))}
    for name in ("notes.txt", "empty.txt", "wandb-metadata.json", "requirements.txt", "config.yaml", "output.log"):
        assert name in listed, sorted(listed)
    assert listed["notes.txt"]["size_bytes"] == 5
    assert listed["empty.txt"]["size_bytes"] == 0

    run = api.run(f"{account.name}/tracking/trained1")
    by_client = {f.name: f for f in run.files()}
    assert set(by_client) == set(listed)
    by_client["notes.txt"].download(root=tmp_path / "down")
    assert (tmp_path / "down" / "notes.txt").read_bytes() == b"kept\n"
    by_client["empty.txt"].download(root=tmp_path / "down")
    assert (tmp_path / "down" / "empty.txt").read_bytes() == b""
    assert [f.name for f in run.files(names=["notes.txt"])] == ["notes.txt"]
    assert run.file("notes.txt").md5 == _base64_md5(b"kept\n")
    assert {f.name for f in run.files(pattern="%.txt")} >= {"notes.txt", "empty.txt", "requirements.txt"}
    assert run.metadata["program"].endswith("train.py")


def _base64_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def test_logged_code_is_an_artifact_of_the_run(account, trained, api, tmp_path):
    artifacts = api.run(f"{account.name}/tracking/trained1").logged_artifacts()
    code = [a for a in artifacts if a.type == "code"]
    assert len(code) == 1
    folder = code[0].download(root=tmp_path / "code")
    assert "wandb.init" in (tmp_path / "code" / "train.py").read_text(), folder
    listed = account.rest.items(account.run_path("tracking", "trained1", "/artifacts"))
    assert any(a["type"] == "code" for a in listed), listed


def test_the_client_reads_the_same_history(account, trained, api):
    run = api.run(f"{account.name}/tracking/trained1")
    losses = [row["loss"] for row in run.scan_history(keys=["loss"])]
    assert losses == pytest.approx([1 / (step + 1) for step in range(20)])
    both = list(run.scan_history(keys=["_step", "odd"], page_size=3))
    assert [(row["_step"], row["odd"]) for row in both] == [(step, step) for step in range(1, 20, 2)]
    sampled = run.history(pandas=False, samples=500)
    assert len([row for row in sampled if row.get("loss") is not None]) == 20
    few = run.history(keys=["loss"], pandas=False, samples=5)
    assert 1 <= len(few) <= 6
    window = list(run.scan_history(min_step=5, max_step=8))
    assert [row["_step"] for row in window] == [5, 6, 7]
    system = run.history(stream="events", pandas=False)
    assert any(key.startswith("system.") for row in system for key in row)


def test_media_and_tables_are_readable_again(account, project, api, tmp_path):
    import wandb

    with wandb.init(project=project, dir=tmp_path) as run:
        table = wandb.Table(columns=["name", "score"], data=[["one", 1.5], ["two", 2.5]])
        run.log({"scores": table, "page": wandb.Html("<p>hello</p>")})
        run_id = run.id
    summary = account.run(project, run_id)["summary"]
    assert summary["page"]["_type"] == "html-file"
    assert summary["scores"]["_type"] == "table-file"
    assert summary["scores"]["nrows"] == 2
    read = api.run(f"{account.name}/{project}/{run_id}")
    read.file(summary["page"]["path"]).download(root=tmp_path / "d")
    assert "<p>hello</p>" in (tmp_path / "d" / summary["page"]["path"]).read_text()
    tables = [a for a in read.logged_artifacts() if a.type == "run_table"]
    assert len(tables) == 1
    content = tables[0].get("scores")
    assert content.columns == ["name", "score"] and content.data == [["one", 1.5], ["two", 2.5]]


def test_exit_codes_decide_the_state(account, project, script):
    done = script(
        f"""
        import sys, wandb
        run = wandb.init(project={project!r}, id="exits")
        run.log({{"x": 1}})
        sys.exit(3)
        """,
        check=False,
    )
    assert done.returncode == 3
    run = account.run(project, "exits")
    assert run["state"] == "failed"
    assert run["summary"]["x"] == 1


def test_an_exception_leaves_a_failed_run_with_its_traceback_in_the_log(account, project, script):
    script(
        f"""
        import wandb
        run = wandb.init(project={project!r}, id="raises")
        raise RuntimeError("it broke here")
        """,
        check=False,
    )
    assert account.run(project, "raises")["state"] == "failed"
    assert "it broke here" in account.rest.text(account.run_path(project, "raises", "/log"))


def test_a_run_is_visible_while_it_runs(account, project, tmp_path):
    import wandb

    run = wandb.init(project=project, id="live", dir=tmp_path)
    try:
        assert account.run(project, "live")["state"] == "running"
        run.log({"step": 1})

        def arrived():
            return account.run(project, "live")["summary"].get("step") == 1

        wait_until("the first metric", arrived, 40)
    finally:
        run.finish()
    assert account.run(project, "live")["state"] == "finished"


def test_resume_goes_on_where_the_run_ended(account, project, api, tmp_path):
    import wandb

    for part in range(2):
        with wandb.init(project=project, id="again", resume="allow", dir=tmp_path) as run:
            assert run.resumed is (part == 1)
            for value in range(3):
                run.log({"value": part * 3 + value})
    rows = [(row["_step"], row["value"]) for row in api.run(f"{account.name}/{project}/again").scan_history()]
    assert rows == [(n, n) for n in range(6)]
    with pytest.raises(wandb.errors.UsageError):
        wandb.init(project=project, id="again", resume="never", dir=tmp_path, settings={"init_timeout": 20})
    with pytest.raises(wandb.errors.UsageError):
        wandb.init(project=project, id="absent", resume="must", dir=tmp_path, settings={"init_timeout": 20})


def test_a_stop_from_the_other_door_interrupts_the_script(account, project, environment, tmp_path):
    source = tmp_path / "long.py"
    source.write_text(
        "import time, wandb\n"
        f"run = wandb.init(project={project!r}, id='long')\n"
        "print('begun', flush=True)\n"
        "for n in range(600):\n    run.log({'n': n})\n    time.sleep(0.2)\n"
    )
    process = Process([CLIENT_FOLDER / "python", source], tmp_path / "long.log", environment, tmp_path)
    try:
        process.wait_for("begun")
        account.rest.post(account.run_path(project, "long", "/stop"))
        wait_until("the script's end", lambda: process.popen.poll() is not None, 60)
    finally:
        process.kill()
    assert process.popen.returncode != 0
    wait_until("the state", lambda: account.run(project, "long")["state"] in ("killed", "failed"), 20)


def test_a_project_is_found_in_any_spelling_and_keeps_its_first(account, project, tmp_path):
    import wandb

    spelled = project.capitalize()
    with wandb.init(project=spelled, id="one", dir=tmp_path) as run:
        run.log({"a": 1})
    with wandb.init(project=spelled.upper(), id="two", dir=tmp_path) as run:
        run.log({"a": 2})
    runs = account.rest.items(f"/entities/{account.name}/projects/{spelled.lower()}/runs")
    assert {run["id"] for run in runs} == {"one", "two"}
    names = [p["name"] for p in account.rest.items(f"/entities/{account.name}/projects")]
    assert spelled in names and spelled.upper() not in names
    assert "model-registry" not in names


def test_offline_runs_are_taken_by_sync(account, project, environment, script, wandb_cli, tmp_path):
    env = {**environment, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    script(
        f"""
        import wandb
        with wandb.init(project={project!r}, id="offline1") as run:
            for n in range(5):
                run.log({{"n": n}})
        """,
        env=env,
    )
    folder = next((tmp_path / "wandb").glob("offline-run-*"))
    wandb_cli("sync", folder)
    run = account.run(project, "offline1")
    assert run["summary"]["n"] == 4
    assert json.dumps(run["config"]) is not None
    assert run["state"] == "finished"


def test_many_steps_are_counted_exactly(account, project, api, tmp_path):
    import wandb

    started = time.monotonic()
    with wandb.init(project=project, id="many", dir=tmp_path) as run:
        for n in range(3000):
            run.log({"n": n, "square": n * n})
    assert time.monotonic() - started < 60
    values = [row["n"] for row in api.run(f"{account.name}/{project}/many").scan_history(keys=["n"])]
    assert values == list(range(3000))
    history = account.rest.get(account.run_path(project, "many", "/history"), params={"keys": "square", "points": 100})
    points = history["series"]["square"]
    assert len(points) <= 200
    assert max(point[3] for point in points) == 2999 * 2999
