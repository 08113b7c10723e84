"""SIGKILL of server and agent at random moments, in every phase, while items are launched; the witness decides.

Three variables set the size: LANZA_KILL_LAUNCHES (100), LANZA_KILL_PER_PHASE (5) and LANZA_KILL_SEED. The histogram is
printed, so run it with `-s` to see it.
"""

import contextlib
import faulthandler
import itertools
import json
import os
import random
import time
from collections import Counter

import jobs
import judge
import pytest
from ground import Ground, Journals, docker_missing
from images import Images, registry_missing

from lanza_server import wait_until

LAUNCHES = int(os.environ.get("LANZA_KILL_LAUNCHES", "100"))
PER_PHASE = int(os.environ.get("LANZA_KILL_PER_PHASE", "5"))
TARGETS = ("process", "docker")
PHASES = ("fetch", "build", "start", "run", "upload")
# Of images alone, and of them where there is a registry.
IMAGE_PHASES = ("push", "pull")
SLOTS = 12
BULKY = 4
# What was built once is not built again, nor pushed.
BUILDS = max(12, 4 * PER_PHASE)
IMAGES = 8
# A kill of the agent begins a build anew, so many builds at once would leave no room for anything else.
BUILDS_AT_ONCE = 3
TIME_LIMIT_SECONDS = 420.0


class Chaos:
    """Keeps items coming and kills whoever is due while one is in the phase that was hit least."""

    def __init__(self, ground: Ground, images: Images | None, chance: random.Random):
        self.ground = ground
        self.images = images
        self.chance = chance
        self.phases = {target: PHASES for target in ground.targets}
        if images:
            self.phases["docker"] += IMAGE_PHASES
        self.journals = Journals(ground.state)
        self.pushed: dict[str, str] = {}
        self.hits: dict[str, Counter] = {victim: Counter() for victim in ("server", "agent", "both")}
        self.touched = Counter()
        self.kills = 0
        self.missed = Counter()
        self.builds = {target: itertools.cycle(range(BUILDS)) for target in ground.targets}
        self.turn = 0

    def hit(self, key) -> int:
        return sum(counter[key] for counter in self.hits.values())

    def due(self) -> list:
        return [key for key in self.keys() if self.hit(key) < PER_PHASE]

    def keys(self) -> list:
        return [(target, phase) for target, phases in self.phases.items() for phase in phases]

    def feed(self, aim) -> None:
        """Tops the queues up; what is pushed leads to the phase that is wanted."""
        while len(self.pushed) - len(self.journals.closed) < SLOTS + 2:
            self.turn += 1
            target, phase = aim if aim and self.turn % 3 else (self.chance.choice(self.ground.targets), None)
            # A build is there to be hit: made once, it is not made again.
            phase = phase or self.chance.choice([p for p in self.phases[target] if p not in ("build", "push")])
            if phase in ("build", "push") and self._building() >= BUILDS_AT_ONCE:
                target, phase = "process", "run"
            seconds = round(self.chance.uniform(2.0, 3.5), 2)
            job, arguments = "plain", ["--seconds", seconds]
            image = self._free_image() if phase == "pull" else None
            if image:
                self.images.forget(image)
                self.pushed[self.ground.push_image(image, ["python", "/work.py"], *arguments)] = image
                continue
            if phase == "fetch":
                job = f"bulky-{self.chance.randrange(BULKY)}"
            elif phase in ("build", "push"):
                job = f"{target}-build-{next(self.builds[target])}"
            elif phase == "upload":
                arguments += ["--megabytes", self.chance.randrange(4, 9)]
            elif target == "process" and phase == "run" and self.chance.random() < 0.3:
                job, arguments = "tracked", [*arguments, "--client"]
            self.pushed[self.ground.push(target, job, *arguments)] = job

    def _open(self) -> list[str]:
        """The jobs and images of items that have not ended."""
        return [job for item, job in self.pushed.items() if f"{item}-1" not in self.journals.closed]

    def _building(self) -> int:
        return sum("-build-" in job for job in self._open())

    def _free_image(self) -> str | None:
        """An image that no item is about to use: this machine may forget it."""
        taken = self._open()
        return next((name for name in self.chance.sample(self.images.names, IMAGES) if name not in taken), None)

    def wait_for(self, aim, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        fed = 0.0
        while time.monotonic() < deadline:
            if self.journals.phases()[aim]:
                return True
            if time.monotonic() - fed > 0.5:
                self.feed(aim)
                fed = time.monotonic()
            time.sleep(0.002)
        return False

    def strike(self) -> None:
        due = self.due()
        aim = None
        if not due:
            # What is left to do is to launch; the kills get rare.
            self._go_on(self.chance.uniform(1.0, 5.0))
        elif self.chance.random() < 0.2:
            self._go_on(self.chance.uniform(0.0, 1.5))
        else:
            aim = min(due, key=lambda k: (self.hit(k) + self.missed[k], self.chance.random()))
            # Somebody must get somewhere between two kills.
            self._go_on(self.chance.uniform(0.0, 1.0))
            if not self.wait_for(aim, 8.0):
                self.missed[aim] += 1
                return
            # The phase `start` is short.
            time.sleep(self.chance.uniform(0.0, 0.004 if aim[1] == "start" else 0.05))
        victim = self._victim(aim)
        seen = self.journals.phases()
        if victim in ("server", "both"):
            self.ground.server.process.popen.kill()
        if victim in ("agent", "both"):
            self.ground.agent.popen.kill()
            # Nobody writes the journal any more.
            self.ground.agent.popen.wait()
            seen = self.journals.phases()
        self._count(victim, aim, seen)
        if victim in ("agent", "both"):
            self.ground.start_agent()
        if victim in ("server", "both"):
            self.ground.server.process.popen.wait()
            self.ground.server.start()

    def _go_on(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.journals.phases()
            self.feed(None)
            time.sleep(0.05)

    def _victim(self, aim) -> str:
        if self.chance.random() < 0.1:
            return "both"
        rank = {v: (self.hits[v][aim], sum(self.hits[v].values()), self.chance.random()) for v in ("server", "agent")}
        return min(rank, key=rank.get)

    def _count(self, victim: str, aim, seen: Counter) -> None:
        """A kill counts for one phase only, in which an item was when it happened."""
        self.kills += 1
        self.touched += seen
        if aim is not None and seen[aim]:
            self.hits[victim][aim] += 1
        elif seen:
            self.hits[victim][self.chance.choice(sorted(seen.elements()))] += 1

    def wait_for_all(self, seconds: float) -> dict[str, dict]:
        """Waits until every item has ended and returns them all."""
        found = {}

        def look():
            for item in self.pushed:
                if item not in found and (now := self.ground.user.item(item))["state"] in judge.ENDINGS:
                    found[item] = now
            return len(found) == len(self.pushed)

        try:
            wait_until("the end of all items", look, seconds, pause=0.5)
        except AssertionError as error:
            waiting = [self.ground.user.item(item) for item in self.pushed if item not in found]
            states = [(i["id"], i["state"], i["phase"], i["unreachable"]) for i in waiting]
            raise AssertionError(f"{error}; {len(waiting)} have not ended: {states}") from None
        return found

    def histogram(self) -> str:
        rows = [f"{'phase':<18}{'server':>8}{'agent':>8}{'both':>8}{'kills':>8}{'items':>8}"]
        for key in self.keys():
            counts = [self.hits[v][key] for v in ("server", "agent", "both")]
            cells = "".join(f"{n:>8}" for n in [*counts, sum(counts), self.touched[key]])
            rows.append(f"{' '.join(key):<18}{cells}")
        return "\n".join(rows)


def prepare(ground: Ground, chance: random.Random) -> None:
    root = ground.folder / "jobs"
    jobs.plain(root)
    jobs.tracked(root)
    for n in range(BULKY):
        jobs.bulky(root, f"bulky-{n}", chance)
    for target, n in itertools.product(ground.targets, range(BUILDS)):
        jobs.slow_to_build(root, f"{target}-build-{n}")
    jobs.make_all(root, ground.user.name, ground.project, ground.environment)


@pytest.fixture
def ground(tmp_path):
    missing = docker_missing()
    if missing:
        print(f"\nwithout the target docker: {missing}")
    with contextlib.closing(Ground(tmp_path / "ground", ["process"] if missing else list(TARGETS), SLOTS)) as made:
        yield made


@pytest.fixture
def chance():
    seed = int(os.environ.get("LANZA_KILL_SEED", random.randrange(1 << 32)))
    print(f"\nseed {seed}")
    return random.Random(seed)


@pytest.fixture
def images(ground, chance, tmp_path):
    """Images to pull, and a place to push to, where there is a registry."""
    if "docker" not in ground.targets:
        yield None
        return
    if missing := registry_missing():
        print(f"\nwithout the phases {' and '.join(IMAGE_PHASES)}: {missing}")
        yield None
        return
    with contextlib.closing(Images(tmp_path, IMAGES, chance)) as made:
        config = tmp_path / "launch-config.yaml"
        config.write_text(json.dumps({"builder": {"destination": made.destination}}))
        ground.agent_options = ["-c", config]
        yield made
        # Its containers are gone before its images.
        ground.close()


def test_nothing_is_lost_when_server_and_agent_are_killed_at_random(ground, images, chance):
    # It takes longer than a test that hangs.
    faulthandler.cancel_dump_traceback_later()
    prepare(ground, chance)
    ground.start_agent()
    chaos = Chaos(ground, images, chance)
    begun = time.monotonic()
    while chaos.due() or len(chaos.pushed) < LAUNCHES:
        if time.monotonic() - begun > TIME_LIMIT_SECONDS:
            break
        chaos.strike()
    took = time.monotonic() - begun
    print(
        f"\n{len(chaos.pushed)} launches, {chaos.kills} kills in {took:.0f} s, "
        f"{chaos.missed.total()} aims without a shot\n{chaos.histogram()}"
    )
    items = chaos.wait_for_all(180.0)
    print(f"the last item ended {time.monotonic() - begun - took:.0f} s after the last kill")

    wrong = {i: (f["state"], f["exit_code"], f["reason"]) for i, f in items.items() if f["state"] != "finished"}
    assert not wrong, wrong
    judge.intervals_do_not_overlap(ground)
    trail = judge.ends_by_item(ground)
    for item, job in chaos.pushed.items():
        assert len(ground.witness(item, "begin")) == 1, item
        assert trail[item] == ["finished"], (item, trail[item])
        judge.item_finished(ground, item, client=job == "tracked")
    assert set(trail) == set(items), "nothing ran that was not pushed"
    ground.nothing_left()
    judge.state_folder_is_tidy(ground)
    judge.database_is_whole(ground)
    ground.logs_are_sane()
    (agent,) = ground.user.rest.items(f"/entities/{ground.user.name}/agents")
    assert agent["items"] == [] and agent["status"] == "polling", agent
    assert ground.server.rest(None).call("GET", "/ready").ok

    assert len(items) >= LAUNCHES
    assert not chaos.due(), f"not hit often enough: {chaos.due()}"
