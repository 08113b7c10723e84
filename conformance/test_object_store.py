"""`lanza server --blobs s3://…`: what the client writes lies in the object store, and is read after a restart."""

import base64
import hashlib
import random
import subprocess
import sys
import textwrap

import pytest
import requests

from conftest import client_environment
from lanza_server import Server, wait_until
from s3_server import S3Server

PREFIX = "team/lanza"
# More than two parts of an upload.
BIG = random.Random(7).randbytes(20 << 20)

WRITE = """
    import sys, wandb
    with wandb.init(project="p", id="writes") as run:
        with open("notes.txt", "w") as file:
            file.write("kept far away\\n")
        run.save("notes.txt")
        artifact = wandb.Artifact("data", type="dataset")
        artifact.add_file(sys.argv[1], name="deep/big.bin")
        with artifact.new_file("ein Wort.txt") as file:
            file.write("klein")
        run.log_artifact(artifact).wait()
"""
READ = """
    import sys, wandb
    run = wandb.Api().run("ada/p/writes")
    run.file("notes.txt").download(root=sys.argv[1])
    artifact = wandb.Api().artifact("ada/p/data:v0")
    artifact.download(root=sys.argv[1] + "/artifact")
    artifact.verify(root=sys.argv[1] + "/artifact")
    assert sorted(f.name for f in artifact.files()) == ["deep/big.bin", "ein Wort.txt"]
"""


@pytest.fixture(scope="module")
def store():
    started = S3Server("of-the-tests")
    yield started
    started.close()


class Place:
    """A server whose blobs are in the store, and its one user."""

    def __init__(self, folder, store):
        self.folder, self.store = folder, store
        self.server = None
        self.start()
        self.user = self.server.user("ada")

    def start(self, *more: str, **changed) -> None:
        port = 0
        if self.server is not None:
            port = self.server.port
            assert self.server.process.stop() == 0
            # What a server says is looked for in its own log, and not in that of the one before.
            self.server.process.log.rename(self.folder / "before.log")
        # A token that is meant for somebody else must not be taken for one of the store's.
        env = {**self.store.environment, "TOKEN": "of somebody else", "REGION": "elsewhere", **changed}
        options = ("--blobs", f"s3://{self.store.bucket}/{PREFIX}", *more)
        self.server = Server(self.folder, options, port, env)

    def script(self, source: str, *arguments, home) -> None:
        home.mkdir(exist_ok=True)
        env = client_environment(self.user, home)
        command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
        done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr + self.server.process.text()[-3000:]


@pytest.fixture(scope="module")
def place(store, tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("far") / "server", store)
    yield made
    made.server.process.kill()


def test_what_is_written_lies_in_the_object_store_and_outlives_the_server(place, store, tmp_path):
    (tmp_path / "big.bin").write_bytes(BIG)
    place.script(WRITE, tmp_path / "big.bin", home=tmp_path / "writer")
    kept = list(store.objects.values())
    assert all(name.startswith(f"{PREFIX}/") for name in store.objects)
    assert kept.count(BIG) == 1 and b"kept far away\n" in kept and b"klein" in kept
    assert store.calls.count(("PUT", "partNumber")) >= 3, "the large file went in parts"
    assert store.uploads == {}, "no upload is left half done"
    near = [path for path in (place.folder / "data").rglob("*") if path.is_file() and "blobs" in path.parts]
    assert near == [], "nothing of it is kept beside"

    place.start()
    store.by_link.clear()
    reader = tmp_path / "reader"
    place.script(READ, reader, home=reader)
    assert [store.objects[name] for name in store.by_link].count(BIG) == 1, "it came from the store itself"
    assert (reader / "notes.txt").read_text() == "kept far away\n"
    assert (reader / "artifact" / "deep" / "big.bin").read_bytes() == BIG
    assert (reader / "artifact" / "ein Wort.txt").read_text() == "klein"
    rest = place.server.rest(place.user.key)
    files = {f["path"]: f for f in rest.items("/entities/ada/projects/p/artifacts/dataset/data/v0/files")}
    part = requests.get(files["deep/big.bin"]["url"], headers={"Range": "bytes=1000-1999"}, timeout=30)
    assert (part.status_code, part.content) == (206, BIG[1000:2000])
    assert part.url.startswith(store.environment["AWS_ENDPOINT"])
    # The web app speaks with its own server only.
    part = requests.get(
        files["deep/big.bin"]["url"], headers={"Range": "bytes=5-9", "Sec-Fetch-Mode": "cors"}, timeout=30
    )  # fmt: skip
    assert (part.status_code, part.content) == (206, BIG[5:10])
    assert part.url == files["deep/big.bin"]["url"]
    assert part.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none';")
    assert requests.head(files["deep/big.bin"]["url"], timeout=30).headers["Content-Length"] == str(len(BIG))
    assert store.refused == [], "each request was signed with the key of the environment"


def test_links_to_the_store_can_be_switched_off(place, store, tmp_path):
    place.start("--no-blob-links")
    store.by_link.clear()
    try:
        place.script(READ, tmp_path / "reader", home=tmp_path / "reader")
    finally:
        place.start()
    assert (tmp_path / "reader" / "artifact" / "deep" / "big.bin").read_bytes() == BIG and store.by_link == []


def test_a_refused_upload_leaves_nothing_in_the_object_store(place, store):
    """Its last part is there when the digest turns out to be wrong, so the upload is given up as a whole."""
    rest = place.server.rest(place.user.key)
    created = rest.graphql(
        """mutation M($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id } } }""",
        {
            "input": {
                "entityName": "ada", "projectName": "p", "artifactTypeName": "dataset", "digest": "0" * 32,
                "artifactCollectionName": "liar", "digestAlgorithm": "MANIFEST_MD5", "clientID": "c" * 128,
                "sequenceClientID": "s" * 128,
            }
        },
    )["data"]["createArtifact"]["artifact"]  # fmt: skip
    md5 = base64.b64encode(hashlib.md5(b"promised").digest()).decode()
    files = rest.graphql(
        """mutation M($input: CreateArtifactFilesInput!) { createArtifactFiles(input: $input) {
            files { edges { node { uploadUrl uploadHeaders } } } } }""",
        {"input": {"artifactFiles": [{"artifactID": created["id"], "name": "x", "md5": md5}], "storageLayout": "V2"}},
    )["data"]["createArtifactFiles"]["files"]["edges"]
    upload = files[0]["node"]
    before = dict(store.objects)
    headers = dict(line.split(":", 1) for line in upload["uploadHeaders"] or [])
    refused = requests.put(upload["uploadUrl"], data=BIG[: 9 << 20], headers=headers, timeout=30)
    assert 400 <= refused.status_code < 500, refused.text
    wait_until("the end of the upload", lambda: store.uploads == {}, 20)
    assert store.objects == before


def test_a_key_that_the_store_refuses_is_an_error_that_keeps_the_run_file_out(place, store):
    """The client hears that it is not stored, and the server says why in its log."""
    url = place.server.rest(place.user.key)
    url.graphql(
        """mutation M { upsertBucket(input: {entityName: "ada", modelName: "p", name: "poor"}) { bucket { id } } }"""
    )
    place.start(AWS_SECRET_ACCESS_KEY="another")
    try:
        rest = place.server.rest(place.user.key)
        made = rest.graphql(
            """mutation M { createRunFiles(input: {entityName: "ada", projectName: "p", runName: "poor",
                files: ["a.txt"]}) { files { uploadUrl } } }"""
        )["data"]["createRunFiles"]["files"][0]
        answer = requests.put(made["uploadUrl"], data=b"lost", timeout=60)
        assert answer.status_code >= 500, answer.text
        assert rest.items("/entities/ada/projects/p/runs/poor/files") == []
        assert "SignatureDoesNotMatch" in place.server.process.text()
        assert "SignatureDoesNotMatch" not in answer.text and "another" not in place.server.process.text()
    finally:
        place.start()
        store.refused.clear()
