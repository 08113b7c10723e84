"""The jobs of the kill tests: what makes each phase last long enough to be hit."""

import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent

# A package whose build takes a while and needs nothing from a package index.
BACKEND = """
import time, zipfile

FILES = {
    "slow.py": "",
    "slow-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: slow\\nVersion: 1.0\\n",
    "slow-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: kill\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}

def build_wheel(folder, settings=None, metadata=None):
    time.sleep(SECONDS)
    name = "slow-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in FILES.items():
            wheel.writestr(path, text)
        record = "".join(f"{path},,\\n" for path in [*FILES, "slow-1.0.dist-info/RECORD"])
        wheel.writestr("slow-1.0.dist-info/RECORD", record)
    return name
"""
PYPROJECT = """
    [build-system]
    requires = []
    build-backend = "backend"
    backend-path = ["."]

    [project]
    name = "slow"
    version = "1.0"
"""


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    shutil.copy(HERE / "work.py", folder)
    return folder


def plain(root: Path, name: str = "plain") -> None:
    """Needs nothing."""
    _folder(root, name)


def bulky(root: Path, name: str, chance: random.Random, files: int = 200, megabytes: int = 6) -> None:
    """Takes a while to fetch: many small files and a big one, unlike those of any other job."""
    data = _folder(root, name) / "data"
    data.mkdir()
    for n in range(files):
        (data / f"{n:04d}.bin").write_bytes(chance.randbytes(chance.randrange(1, 20_000)))
    (data / "big.bin").write_bytes(chance.randbytes(megabytes << 20))


def slow_to_build(root: Path, name: str, seconds: float = 1.5) -> None:
    """Takes a while to build, in an environment that no other job shares (its code is part of the key)."""
    folder = _folder(root, name)
    (folder / "requirements.txt").write_text("./slow\n")
    package = folder / "slow"
    package.mkdir()
    (package / "pyproject.toml").write_text(textwrap.dedent(PYPROJECT))
    (package / "backend.py").write_text(BACKEND.replace("SECONDS", str(seconds)))
    (package / "name.txt").write_text(name)


def tracked(root: Path, name: str = "tracked") -> None:
    """Has the real client in its environment."""
    (_folder(root, name) / "requirements.txt").write_text("wandb==0.31.0\n")


def make_all(root: Path, entity: str, project: str, env: dict) -> None:
    """Makes a job of each folder below `root`, by the real client."""
    arguments = [sys.executable, HERE / "make_jobs.py", entity, project, root]
    done = subprocess.run(arguments, env=env, cwd=root.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
