"""What must be true when all items have ended, whoever was killed in between."""

import hashlib
import json
import re
import sqlite3
from collections import defaultdict

from ground import Ground

ENDINGS = ("finished", "failed", "stopped")
PHASES = ("fetch", "build", "push", "pull", "start", "run", "upload")


def intervals_do_not_overlap(ground: Ground) -> None:
    """The witness alone: an attempt begins after the one before it ended, and no two ever held the item's lock."""
    begun, ended = defaultdict(list), defaultdict(list)
    for line in ground.witness():
        assert line["event"] != "overlap", line
        key = (line["item"], line["attempt"])
        if line["event"] == "begin":
            begun[key].append(line["at"])
        elif line["event"] == "end":
            ended[key].append(line["at"])
    by_item = defaultdict(list)
    for key, times in begun.items():
        assert len(times) == 1, f"attempt {key} began {len(times)} times"
        assert len(ended[key]) == 1, f"attempt {key} ended {len(ended[key])} times"
        by_item[key[0]].append((times[0], ended[key][0]))
    for item, spans in by_item.items():
        spans.sort()
        for (_, end), (begin, _) in zip(spans, spans[1:], strict=False):
            assert end <= begin, (item, spans)


def ends_by_item(ground: Ground) -> dict[str, list[str]]:
    """The audit trail: how often each item ended."""
    found = defaultdict(list)
    for event in ground.user.rest.items("/events"):
        if event["kind"] == "item" and event["verb"] in (*ENDINGS, "lost"):
            found[event["object"]].append(event["verb"])
    return found


def item_finished(ground: Ground, item: str, client: bool) -> dict:
    """One item that ran to its end: state, attempts, run, log, history."""
    found = ground.user.item(item)
    explain = (found["state"], found["exit_code"], found["reason"], found["attempts"])
    assert found["state"] == "finished" and found["exit_code"] == 0, explain
    assert not found["unreachable"], explain
    # Nobody was away for as long as the queue's grace, so there was no reason for a second attempt.
    assert found["attempt"] == 1 and [a["number"] for a in found["attempts"]] == [1], explain
    attempt = found["attempts"][0]
    assert attempt["state"] == "finished" and attempt["exit_code"] == 0, explain
    phases = [phase["name"] for phase in attempt["phases"]]
    assert phases == [p for p in PHASES if p in phases], phases
    assert {"fetch", "run", "upload"} <= set(phases), phases
    assert all(phase["ended_at"] for phase in attempt["phases"]), explain

    (end,) = ground.witness(item, "end")
    log_is_complete(ground, item, end, exact=not client)
    run = ground.user.run(ground.project, found["run"])
    assert run["state"] == "finished" and run["item"] == item, run
    path = ground.user.run_path(ground.project, found["run"], "/history")
    series = ground.user.rest.get(path, params={"keys": "value", "points": 1500})["series"]["value"]
    assert len(series) == end["rows"], f"{len(series)} of {end['rows']} rows of history"
    return found


def log_is_complete(ground: Ground, item: str, end: dict, exact: bool = True) -> None:
    """Every byte that the job wrote is in the log, once and in order; the real client adds lines of its own."""
    log = ground.log(item)
    numbers = [int(n) for n in re.findall(rb"^line (\d{7}) ", log, re.M)]
    assert numbers == list(range(end["lines"])), f"{item}: {len(numbers)} of {end['lines']} lines"
    if exact:
        assert hashlib.sha256(log).hexdigest() == end["sha256"], f"the log of {item} has other bytes than were written"


def state_folder_is_tidy(ground: Ground, unfinished: frozenset[str] = frozenset()) -> None:
    """Nothing half done: no code, no partial download stays behind, and scratch of what did not finish only."""
    for journal in (ground.state / "attempts").glob("*/journal.jsonl"):
        # Killed between the server's answer and this line, the agent hears that the item is over: `forgotten`.
        last = json.loads(journal.read_text().splitlines()[-1])["entry"]
        assert last in ("reported", "forgotten"), (journal, last)
        left = [p.name for p in journal.parent.iterdir() if p.name in ("work", "job")]
        assert not left, (journal.parent, left)
    scratch = [p for p in (ground.state / "scratch").iterdir() if p.name not in unfinished]
    assert not scratch, scratch
    partial = [p.name for p in (ground.state / "cache" / "blobs").iterdir() if "tmp" in p.name]
    assert not partial, partial


def database_is_whole(ground: Ground) -> None:
    (file,) = (ground.server.folder / "data").glob("*.db")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
