"""The job of the kill tests. It needs the standard library only: it runs in whatever environment the agent makes.

Everything that happens goes to the witness, a file that neither server nor agent knows: one line an event, appended and
synced before the job goes on. By default the job speaks to the server as the wandb client does (the run's upsert, rows
of history, the end) but without its start-up time; `--client` uses the real client.
"""

import argparse
import base64
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 120
UPSERT = """mutation UpsertBucket($input: UpsertBucketInput!) {
  upsertBucket(input: $input) { bucket { id name } inserted }
}"""


def witness(event, **more):
    line = {
        "event": event,
        "item": os.environ["LANZA_ITEM"],
        "attempt": int(os.environ["LANZA_ATTEMPT"]),
        "pid": os.getpid(),
        "at": time.clock_gettime(time.CLOCK_MONOTONIC),
        **more,
    }
    file = os.open(os.environ["KILL_WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.fsync(file)
    os.close(file)


def be_alone():
    """Holds a lock of the item until this process is gone. Whoever finds it taken is a second live attempt."""
    path = f"{os.environ['KILL_WITNESS']}.{os.environ['LANZA_ITEM']}"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        witness("overlap")


class Output:
    """Standard output, with a digest of every byte that was written."""

    def __init__(self):
        self.digest = hashlib.sha256()
        self.lines = 0

    def line(self, text=""):
        self.write(f"line {self.lines:07d} {text}\n".encode())
        self.lines += 1

    def write(self, data):
        self.digest.update(data)
        while data:
            data = data[os.write(1, data) :]

    def flood(self, megabytes):
        text = "x" * 1000
        for _ in range(megabytes * 1000):
            self.line(text)


class Run:
    """The run, as the server sees it from a client."""

    def __init__(self):
        env = os.environ
        self.url = env["WANDB_BASE_URL"]
        self.path = f"/files/{env['WANDB_ENTITY']}/{env['WANDB_PROJECT']}/{env['WANDB_RUN_ID']}/file_stream"
        key = base64.b64encode(f"api:{env['WANDB_API_KEY']}".encode()).decode()
        self.headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
        self.rows = 0
        config = {"_wandb": {"value": {"launch_trace_id": env["WANDB_LAUNCH_TRACE_ID"]}}}
        answer = self.post(
            "/graphql",
            {
                "query": UPSERT,
                "variables": {
                    "input": {
                        "name": env["WANDB_RUN_ID"],
                        "entityName": env["WANDB_ENTITY"],
                        "modelName": env["WANDB_PROJECT"],
                        "config": json.dumps(config),
                    }
                },
            },
        )
        assert answer["data"]["upsertBucket"]["bucket"]["name"] == env["WANDB_RUN_ID"], answer

    def log(self, **row):
        text = json.dumps({"_step": self.rows, **row})
        self.post(self.path, {"files": {"wandb-history.jsonl": {"offset": self.rows, "content": [text]}}})
        self.rows += 1

    def finish(self):
        self.post(self.path, {"complete": True, "exitcode": 0})

    def post(self, path, body):
        """Posts until the server takes it, as the client does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            request = urllib.request.Request(self.url + path, json.dumps(body).encode(), self.headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as e:
                if e.code < 500 and e.code not in (408, 409, 429):
                    raise RuntimeError(f"{path}: {e.code} {e.read().decode(errors='replace')}") from e
                failure = e
            except (OSError, ValueError) as e:
                failure = e
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path}: {failure}")
            time.sleep(0.1)


class RealRun:
    """The run by the real client."""

    def __init__(self):
        import wandb

        self.run = wandb.init()
        self.rows = 0

    def log(self, **row):
        self.run.log(row)
        self.rows += 1

    def finish(self):
        self.run.finish()


class NoRun:
    """Nothing for the server: for a place from which it cannot be reached."""

    rows = 0

    def log(self, **row):
        pass

    def finish(self):
        pass


def leave_a_daemon():
    """A process in a session of its own, without a parent, that does not mind SIGTERM."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    witness("daemon")
    time.sleep(600)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--megabytes", type=int, default=0)
    parser.add_argument("--code", type=int, default=0)
    parser.add_argument("--client", action="store_true", help="use the real wandb client")
    parser.add_argument("--silent", action="store_true", help="say nothing to the server")
    parser.add_argument("--early", action="store_true", help="end the run at once, and need no server from there")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM and leave a daemon")
    args = parser.parse_args()
    begun = time.monotonic()
    witness("begin")
    be_alone()
    out = Output()
    if args.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        leave_a_daemon()
    run = NoRun() if args.silent else RealRun() if args.client else Run()
    if args.early:
        run.finish()
    witness("ready")
    while time.monotonic() - begun < args.seconds:
        out.line(os.environ["LANZA_ITEM"])
        if not args.early:
            run.log(value=out.lines)
        time.sleep(0.2)
    out.flood(args.megabytes)
    if not args.early:
        run.finish()
    witness("end", lines=out.lines, sha256=out.digest.hexdigest(), rows=run.rows)
    sys.exit(args.code)


if __name__ == "__main__":
    main()
