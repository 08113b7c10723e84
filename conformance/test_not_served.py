"""What a server without sweeps and evaluations says to the client that asks for them, and that the rest goes on."""

import re


def test_verify_passes_all_its_checks_but_https_and_sweeps(account, wandb_cli):
    done = wandb_cli("verify", check=False, timeout=240)
    checks = dict(re.findall(r"^(Checking .*?)\.{2,}(\S+)", done.stdout, re.M))
    failed = {name for name, mark in checks.items() if mark != "✅"}
    assert failed == {
        "Checking requests to base url",
        "Checking requests made over signed URLs",
        "Checking sweep creation and agent execution",
    }, done.stdout
    assert len(checks) >= 10, done.stdout
    assert done.stdout.count("https") == 2, "the two are failed for want of https, which a loopback address has not"
    assert "operation `UpsertSweep`" in done.stdout and "is not built" in done.stdout
    # What it made is there.
    runs = account.rest.items(f"/entities/{account.name}/projects/verify/runs")
    assert runs and {run["state"] for run in runs} == {"finished"}, runs
    artifacts = account.rest.items(f"/entities/{account.name}/projects/verify/artifacts")
    assert len(artifacts) >= 2, artifacts


def test_an_eval_table_is_refused_with_a_reason_and_its_run_goes_on(account, project, api, script):
    """Its rows go to a service of evaluations, and not to the server that keeps the run."""
    done = script(
        f"""
        import wandb
        with wandb.init(project={project!r}, id="evaluates") as run:
            table = wandb.EvalTable(columns=["q", "a"], data=[["x", 1]], input_columns=["q"], backend="ces")
            try:
                run.log({{"evaluation": table}})
            except wandb.errors.UsageError as error:
                print("refused:", error)
            run.log({{"after": 1}})
        """
    )
    assert re.search("refused: This W&B server does not support", done.stdout), done.stdout
    run = account.run(project, "evaluates")
    assert run["state"] == "finished" and run["summary"]["after"] == 1
    assert "evaluation" not in run["summary"]
    assert "refused:" in "".join(line.content for line in api.run(f"{account.name}/{project}/evaluates").console_logs())
