"""Images that have the client of this environment, so that nothing is fetched for them."""

import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from needs import left_out


@contextmanager
def client_image(docker: str, folder: Path, *lines: str) -> Iterator[str]:
    """Builds an image on Python's own, with `lines` at the end of its Dockerfile, and removes it in the end.

    `folder` is the context; files that the lines copy are there already.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = Path(sysconfig.get_paths()["purelib"])
    # Everything but the tools of the tests themselves.
    tools = ("uv", "ruff", "pip", "setuptools", "pytest", "_pytest")

    def ignore(place: str, names: list) -> list:
        return [n for n in names if n == "__pycache__" or (Path(place) == packages and n in tools)]

    shutil.copytree(packages, folder / "packages", ignore=ignore)
    head = (f"FROM python:{version}-slim", "COPY packages /packages", "ENV PYTHONPATH=/packages PYTHONUNBUFFERED=1")
    (folder / "Dockerfile").write_text("\n".join([*head, *lines, ""]))
    name = f"lanza-test-client-{uuid.uuid4().hex[:8]}:1"
    built = subprocess.run([docker, "build", "-q", "-t", name, folder], capture_output=True, text=True)
    if built.returncode != 0 and "pull" in built.stderr:
        left_out("docker", f"there is no image python:{version}-slim")
    assert built.returncode == 0, built.stderr
    yield name
    subprocess.run([docker, "rmi", "-f", name], capture_output=True)
