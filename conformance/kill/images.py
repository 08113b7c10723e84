"""Images of the kill tests, in a registry of their own on the loopback: what makes `pull` and `push` happen and last."""

import contextlib
import os
import random
import secrets
import shutil
import subprocess
from pathlib import Path

import jobs
from build_hosts import PlainRegistry, free_port
from needs import required

BASE = "python:3.11-slim"
MEGABYTES = 12


def registry_missing() -> str | None:
    """Why there can be no registry here; an error when one is required."""
    missing = None if shutil.which("docker-registry") else "there is no `docker-registry` command"
    assert missing is None or not required("registry"), f"LANZA_REQUIRE names registry, but {missing}"
    return missing


class Images:
    """A registry, and images of the kill job in it that this machine's Docker does not have."""

    def __init__(self, folder: Path, count: int, chance: random.Random):
        self.registry = PlainRegistry(folder / "registry", "127.0.0.1", free_port("127.0.0.1"))
        mark = secrets.token_hex(4)
        # Where agents push the environments that they build.
        self.destination = f"{self.registry.place}/kill/{mark}"
        self.names = [f"{self.registry.place}/kill/job-{mark}:{n}" for n in range(count)]
        for n, name in enumerate(self.names):
            context = folder / f"image-{n}"
            context.mkdir()
            shutil.copy(jobs.HERE / "work.py", context)
            (context / "big.bin").write_bytes(chance.randbytes(MEGABYTES << 20))
            (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY work.py /work.py\nCOPY big.bin /big.bin\n")
            self._docker("build", "-q", "-t", name, context, DOCKER_BUILDKIT="0")
            self._docker("push", "-q", name)
            self._docker("rmi", name)
            shutil.rmtree(context)

    def forget(self, name: str) -> None:
        """Removes an image from this machine, so that it has to be pulled."""
        # A container that has just ended may keep it.
        with contextlib.suppress(subprocess.CalledProcessError):
            self._docker("rmi", "-f", name)

    def close(self) -> None:
        for repository in (self.destination, self.names[0].rsplit(":", 1)[0]):
            told = self._docker("images", "-q", "--filter", f"reference={repository}").split()
            for image in set(told):
                with contextlib.suppress(subprocess.CalledProcessError):
                    self._docker("rmi", "-f", image)
        self.registry.close()

    def _docker(self, *arguments: object, **environment: str) -> str:
        command = ["docker", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
        )  # fmt: skip
        return done.stdout
