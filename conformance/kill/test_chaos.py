"""SIGKILL of server, agent, Docker engine and jobs at random moments while items are launched on both targets.

The queues repeat what was lost, so that many items have a second attempt.
Each item ends exactly once, no two attempts of one are ever alive together, and nothing is left; the jobs themselves
write the witness. What nobody killed has finished. LANZA_CHAOS_LAUNCHES (100) sets the size, LANZA_CHAOS_VICTIMS who is
killed, and LANZA_CHAOS_SEED repeats a run; the counts are printed, so run it with `-s`. The engine is one of the test's
own (see `test_engine`), from which the server cannot be reached, so its jobs track no run.
"""

import contextlib
import faulthandler
import os
import random
import signal
import time
from collections import Counter

import jobs
import judge
import pytest
from ground import Ground
from test_engine import engine as engine  # noqa: PLC0414 (a fixture)

from lanza_server import wait_until

LAUNCHES = int(os.environ.get("LANZA_CHAOS_LAUNCHES", "100"))
SLOTS = 12
TIME_LIMIT_SECONDS = 1500.0
# What an engine or a supervisor took with it is tried again at once, so that a first attempt which lives on is found.
POLICY = {"lost_after_seconds": 5, "retry": {"max": 3, "on": ["lost", "infrastructure"], "backoff_seconds": 0}}
VICTIMS = os.environ.get("LANZA_CHAOS_VICTIMS", "server agent engine job job").split()


@pytest.fixture
def ground(engine, tmp_path):
    with contextlib.closing(Ground(tmp_path / "ground", ["process"], SLOTS)) as made:
        shared = made.witness_file.parent
        volumes = [f"{shared}:{shared}", f"{jobs.HERE}:/kill:ro"]
        environment = {"KILL_WITNESS": str(made.witness_file)}
        config = {"pull": "never", "env": environment, "volume": volumes}
        made.user.queue("docker", "docker", config=config, policy=POLICY)
        made.user.rest.call("PATCH", f"/api/v1/entities/{made.user.name}/queues/process", json={"policy": POLICY})
        made.environment["DOCKER_HOST"] = engine.host
        made.targets = ["process", "docker"]
        made.containers = engine.containers
        yield made


class Chaos:
    """Keeps items coming, and kills."""

    def __init__(self, ground: Ground, engine, chance: random.Random):
        self.ground = ground
        self.engine = engine
        self.chance = chance
        self.pushed: dict[str, str] = {}
        self.open: set[str] = set()
        self.killed: set[str] = set()
        self.engine_lives: list[float] = []
        self.kills = Counter()

    def feed(self) -> None:
        self.open -= {i for i in self.open if self.ground.user.item(i)["state"] in judge.ENDINGS}
        while len(self.open) < SLOTS + 2 and len(self.pushed) < LAUNCHES:
            target = self.chance.choice(self.ground.targets)
            seconds = round(self.chance.uniform(1.0, 4.0), 2)
            item = self._docker(seconds) if target == "docker" else self.ground.push(target, "plain", "--seconds", seconds)
            self.pushed[item] = target
            self.open.add(item)

    def _docker(self, seconds: float) -> str:
        return self.ground.push_image(
            self.engine.image, ["python", "/kill/work.py"], "--silent", "--seconds", seconds
        )  # fmt: skip

    def strike(self) -> None:
        time.sleep(self.chance.uniform(0.0, 1.5))
        victim = self.chance.choice(VICTIMS)
        if victim == "server":
            self.ground.server.kill()
            time.sleep(self.chance.uniform(0.0, 2.0))
            self.ground.server.start()
        elif victim == "agent":
            self.ground.kill_agent()
            time.sleep(self.chance.uniform(0.0, 2.0))
            self.ground.start_agent()
        elif victim == "engine":
            self.engine.end(signal.SIGKILL)
            time.sleep(self.chance.uniform(0.0, 2.0))
            self.engine.start()
        elif not self._kill_a_job():
            return
        self.kills[victim] += 1

    def _kill_a_job(self) -> bool:
        """One that lives by the witness, with all that it began."""
        ended = {(x["item"], x["attempt"]) for x in self.ground.witness(event="end")}
        alive = [x for x in self.ground.witness(event="ready") if (x["item"], x["attempt"]) not in ended]
        alive = [x for x in alive if x["item"] not in self.killed]
        if not alive:
            return False
        item = self.chance.choice(alive)["item"]
        workers = [pid for pid in self.ground.processes() if is_work_of(pid, item)]
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed.add(item)
        return bool(workers)


def is_work_of(pid: int, item: str) -> bool:
    """Whether a process is the job's own program: not the supervisor, whose death is the agent's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/cmdline", "rb") as command:
            return f"LANZA_ITEM={item}".encode() in environ.read().split(b"\0") and b"work.py" in command.read()
    except OSError:
        return False


def test_nothing_is_lost_whoever_is_killed(ground, engine):
    seed = int(os.environ.get("LANZA_CHAOS_SEED", random.randrange(1 << 32)))
    # It takes longer than a test that hangs.
    faulthandler.cancel_dump_traceback_later()
    root = ground.folder / "jobs"
    jobs.plain(root)
    jobs.make_all(root, ground.user.name, ground.project, ground.environment)
    ground.start_agent()
    chaos = Chaos(ground, engine, random.Random(seed))
    begun = time.monotonic()
    while len(chaos.pushed) < LAUNCHES or chaos.open:
        assert time.monotonic() - begun < TIME_LIMIT_SECONDS, [ground.user.item(i) for i in chaos.open]
        chaos.feed()
        if len(chaos.pushed) < LAUNCHES:
            chaos.strike()
        else:
            time.sleep(0.5)
    items = {i: ground.user.item(i) for i in chaos.pushed}
    ends = Counter((chaos.pushed[i], f["state"], (f["reason"] or {}).get("code")) for i, f in items.items())
    repeated = sum(f["attempt"] > 1 for f in items.values())
    print(f"\n{len(items)} launches, {repeated} of them more than once, in {time.monotonic() - begun:.0f} s, kills {dict(chaos.kills)}, seed {seed}")
    for (target, state, code), count in sorted(ends.items(), key=str):
        print(f"{target:<10}{state:<10}{code or '':<24}{count:>5}")

    assert not ground.witness(event="overlap"), "two attempts of an item were alive together"
    trail = judge.ends_by_item(ground)
    finished = {line["item"] for line in ground.witness(event="end")}
    for item, found in items.items():
        explain = (item, chaos.pushed[item], found["state"], found["exit_code"], found["reason"], trail[item])
        assert len(trail[item]) == 1, explain
        starts = Counter(line["attempt"] for line in ground.witness(item, "begin"))
        assert all(count == 1 for count in starts.values()), explain
        if item in chaos.killed:
            # The last lines may have been written when the signal came.
            assert found["state"] == "failed" or item in finished, explain
        elif chaos.pushed[item] == "process":
            assert found["state"] == "finished" and found["exit_code"] == 0, explain
        elif chaos.kills["engine"] == 0:
            assert found["exit_code"] == 0, explain
        else:
            # What runs on an engine dies with it, and says so.
            assert found["exit_code"] == 0 or found["reason"]["code"] in ("target_unavailable", "signal"), explain
    assert set(trail) == set(items), "nothing ran that was not pushed"
    wait_until("the removal of the containers", lambda: not engine.containers(), 60)
    ground.nothing_left()
    judge.state_folder_is_tidy(ground, frozenset(i for i, f in items.items() if f["state"] != "finished"))
    judge.database_is_whole(ground)
    ground.logs_are_sane()
