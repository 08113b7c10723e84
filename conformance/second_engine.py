"""A second Docker engine on this machine, as on another one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lanza_server import wait_until
from needs import left_out


@contextmanager
def second_engine(docker: str, bridge: str, base: str, folder: Path, disk: str = "") -> Iterator[str]:
    """Starts an engine that has the image `base` and nothing else; returns its address.

    It has a network namespace of its own (an engine takes away the bridge of another one), with a line to the bridge
    on which registries listen. `folder` is short, for the path of a socket has to be. With `disk`, a size such as
    `600m`, all that it keeps is on a file system of that size.
    """
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("ip") is None:
        left_out("docker", "an engine of one's own takes root, `dockerd` and `ip`")
    host, space = f"unix://{folder}/docker.sock", f"lanza{os.getpid()}"
    # Tests run beside each other.
    number = os.getpid()
    address = ".".join([*bridge.split(".")[:2], str(200 + number % 50), str(1 + number // 50 % 250)]) + "/16"

    def ip(*words, inside=False):
        done = subprocess.run(["ip", *(("-n", space) if inside else ()), *words], capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)

    ip("netns", "add", space)
    try:
        ip("link", "add", f"{space}a", "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", f"{space}a", "master", "docker0", "up")
        ip("address", "add", address, "dev", "eth0", inside=True)
        ip("link", "set", "eth0", "up", inside=True)
        ip("link", "set", "lo", "up", inside=True)
        if disk:
            (folder / "data-root").mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", folder / "data-root"]
            subprocess.run(mount, check=True, capture_output=True)
        command = ["nsenter", f"--net=/run/netns/{space}", "dockerd", "--host", host, "--bridge=none"]
        command += ["--iptables=false"]
        for name in ("data-root", "exec-root", "pidfile"):
            command += [f"--{name}", str(folder / name)]
        with (folder / "log").open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        there = {**os.environ, "DOCKER_HOST": host}

        def call(*words):
            return subprocess.run([docker, *words], env=there, capture_output=True, text=True)

        try:
            wait_until("the engine", lambda: call("info").returncode == 0)
            saved = subprocess.Popen([docker, "save", base], stdout=subprocess.PIPE)
            subprocess.run([docker, "load"], env=there, stdin=saved.stdout, capture_output=True, check=True)
            assert saved.wait() == 0
            yield host
        finally:
            call("rm", "-f", *call("ps", "-aq").stdout.split())
            process.terminate()
            process.wait(60)
    finally:
        ip("netns", "delete", space)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(folder))), reverse=True):
            subprocess.run(["umount", "-l", mount])
