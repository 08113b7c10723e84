"""Artifacts: upload, deduplication, aliases, use, download and references, through one door and back by the other."""

import base64
import hashlib
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests


def make(path: Path, files: dict) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def listed(account, project, **params) -> dict:
    found = account.rest.items(f"/entities/{account.name}/projects/{project}/artifacts", **params)
    return {f"{a['name']}:{a['version']}": a for a in found}


def log(project, tmp_path, name, folder, aliases=None, **options):
    import wandb

    with wandb.init(project=project, dir=tmp_path) as run:
        artifact = wandb.Artifact(name, type="dataset", **options)
        artifact.add_dir(str(folder))
        run.log_artifact(artifact, aliases=aliases).wait()
    return artifact, run.id


def test_versions_aliases_and_content(account, project, api, tmp_path):
    first_files = {"a.txt": b"one\n", "deep/b b.bin": bytes(range(256)) * 50, "empty": b""}
    first = make(tmp_path / "first", first_files)
    artifact, run_id = log(
        project, tmp_path, "set", first, ["good", "v7"], metadata={"rows": 3}, description="some data"
    )
    assert artifact.version == "v0"

    # A user's alias of the form vN would clash with versions: it is dropped.
    shown = listed(account, project)["set:v0"]
    assert set(shown["aliases"]) == {"good", "latest"}
    assert shown["type"] == "dataset"
    assert shown["metadata"] == {"rows": 3}
    assert shown["description"] == "some data"
    assert shown["file_count"] == 3
    assert shown["size_bytes"] == 4 + 12800
    assert shown["digest"] == artifact.digest
    assert shown["created_by_run"] == run_id

    second = make(tmp_path / "second", {**first_files, "a.txt": b"two\n"})
    artifact, _ = log(project, tmp_path, "set", second)
    assert artifact.version == "v1"
    versions = listed(account, project)
    assert set(versions["set:v0"]["aliases"]) == {"good"}
    assert set(versions["set:v1"]["aliases"]) == {"latest"}

    old = api.artifact(f"{account.name}/{project}/set:good")
    folder = Path(old.download(root=tmp_path / "down"))
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == first_files
    assert old.verify(root=str(folder)) is None
    assert {f.name for f in old.files()} == set(first_files)
    new = api.artifact(f"{account.name}/{project}/set:latest")
    assert new.version == "v1"
    assert new.metadata == {}
    assert Path(new.get_entry("a.txt").download(root=tmp_path / "one")).read_bytes() == b"two\n"


def test_the_same_content_is_one_version_and_stored_once(account, project, tmp_path):
    folder = make(tmp_path / "data", {"x.bin": b"unique to this test " * 1000})
    first, _ = log(project, tmp_path, "same", folder)
    again, _ = log(project, tmp_path, "same", folder, ["extra"])
    assert again.id == first.id and again.version == "v0"
    assert set(listed(account, project)["same:v0"]["aliases"]) == {"latest", "extra"}
    blobs = account.server.folder / "data"
    digest = hashlib.md5((folder / "x.bin").read_bytes()).digest()
    other, _ = log(project, tmp_path, "other-name", folder)
    assert other.id != first.id
    copies = [
        path
        for path in blobs.rglob("*")
        if path.is_file()
        and path.stat().st_size == (folder / "x.bin").stat().st_size
        and hashlib.md5(path.read_bytes()).digest() == digest
    ]
    assert len(copies) == 1, copies


def test_use_makes_lineage(account, project, api, tmp_path):
    import wandb

    folder = make(tmp_path / "data", {"x": b"lineage"})
    _, producer = log(project, tmp_path, "input", folder)
    with wandb.init(project=project, dir=tmp_path) as run:
        used = run.use_artifact("input:latest")
        assert Path(used.download(root=tmp_path / "used"), "x").read_bytes() == b"lineage"
        model = wandb.Artifact("model", type="model")
        model.add_file(str(folder / "x"))
        run.log_artifact(model)
        consumer = run.id
    artifact = api.artifact(f"{account.name}/{project}/input:v0")
    assert artifact.logged_by().id == producer
    assert [r.id for r in artifact.used_by()] == [consumer]
    read = api.run(f"{account.name}/{project}/{consumer}")
    assert [a.name for a in read.used_artifacts()] == ["input:v0"]
    assert "model:v0" in [a.name for a in read.logged_artifacts()]
    by_rest = account.rest.items(account.run_path(project, consumer, "/artifacts"))
    assert any(a["name"] == "model" for a in by_rest)


def test_aliases_description_and_metadata_change(account, project, api, tmp_path):
    folder = make(tmp_path / "data", {"x": b"aliases"})
    log(project, tmp_path, "changing", folder)
    artifact = api.artifact(f"{account.name}/{project}/changing:latest")
    artifact.aliases.append("production")
    artifact.description = "described"
    artifact.metadata["score"] = 0.5
    artifact.save()
    shown = listed(account, project)["changing:v0"]
    assert set(shown["aliases"]) == {"latest", "production"}
    assert shown["description"] == "described"
    assert shown["metadata"] == {"score": 0.5}
    # The client forgets the aliases of an artifact that it has saved, so it is read again.
    artifact = api.artifact(f"{account.name}/{project}/changing:production")
    artifact.aliases.remove("production")
    artifact.save()
    assert set(listed(account, project)["changing:v0"]["aliases"]) == {"latest"}
    assert api.artifact_exists(f"{account.name}/{project}/changing:latest")
    assert not api.artifact_exists(f"{account.name}/{project}/changing:production")
    assert not api.artifact_exists(f"{account.name}/{project}/absent:latest")


def test_a_reference_keeps_its_target(account, project, api, tmp_path):
    import wandb

    here = make(tmp_path / "data", {"big.bin": b"stays where it is"}) / "big.bin"
    with wandb.init(project=project, dir=tmp_path) as run:
        artifact = wandb.Artifact("pointer", type="dataset")
        artifact.add_reference(here.as_uri(), name="ref.bin")
        artifact.add_file(str(here), name="copy.bin")
        run.log_artifact(artifact).wait()
    read = api.artifact(f"{account.name}/{project}/pointer:latest")
    assert read.get_entry("ref.bin").ref == here.as_uri()
    folder = Path(read.download(root=tmp_path / "down"))
    assert (folder / "ref.bin").read_bytes() == (folder / "copy.bin").read_bytes() == b"stays where it is"
    path = f"/entities/{account.name}/projects/{project}/artifacts/dataset/pointer/v0/files"
    files = {f["path"]: f for f in account.rest.items(path)}
    assert files["ref.bin"]["reference"] == here.as_uri()
    assert files["copy.bin"]["size_bytes"] == len(b"stays where it is")
    assert requests.get(files["copy.bin"]["url"], timeout=30).content == b"stays where it is"


def test_a_reference_to_another_artifact_is_followed(account, project, api, tmp_path):
    import wandb

    folder = make(tmp_path / "data", {"x": b"from the first"})
    log(project, tmp_path, "origin", folder)
    with wandb.init(project=project, dir=tmp_path) as run:
        second = wandb.Artifact("derived", type="dataset")
        second.add_reference(run.use_artifact("origin:latest").get_entry("x"), name="linked")
        run.log_artifact(second).wait()
    read = api.artifact(f"{account.name}/{project}/derived:latest")
    assert Path(read.download(root=tmp_path / "down"), "linked").read_bytes() == b"from the first"


def test_artifact_commands(account, project, wandb_cli, tmp_path):
    folder = make(tmp_path / "data", {"x.txt": b"by command"})
    name = f"{account.name}/{project}/by-command"
    wandb_cli("artifact", "put", "-n", name, "-t", "dataset", "-a", "mine", folder)
    shown = listed(account, project)["by-command:v0"]
    assert set(shown["aliases"]) == {"mine", "latest"}
    assert "by-command" in wandb_cli("artifact", "ls", f"{account.name}/{project}").stdout
    wandb_cli("artifact", "get", f"{name}:mine", "--root", tmp_path / "got")
    assert (tmp_path / "got" / "x.txt").read_bytes() == b"by command"


def test_deleting_a_version(account, project, api, tmp_path):
    for n in range(2):
        log(project, tmp_path, "gone", make(tmp_path / f"d{n}", {"x": b"%d" % n}))
    with pytest.raises(Exception, match="(?i)alias"):
        api.artifact(f"{account.name}/{project}/gone:v1").delete()
    api.artifact(f"{account.name}/{project}/gone:v0").delete()
    assert set(listed(account, project)) == {"gone:v1"}
    api.artifact(f"{account.name}/{project}/gone:v1").delete(delete_aliases=True)
    assert listed(account, project) == {}


def test_links_and_public_lists(account, project, api, tmp_path):
    folder = make(tmp_path / "data", {"x": b"listed"})
    artifact, _ = log(project, tmp_path, "listed", folder)
    log(project, tmp_path, "listed", make(tmp_path / "data2", {"x": b"listed again"}))
    assert [a.version for a in api.artifacts("dataset", f"{account.name}/{project}/listed")] == ["v1", "v0"]
    collections = api.artifact_type("dataset", f"{account.name}/{project}").collections()
    assert [c.name for c in collections] == ["listed"]
    assert "dataset" in [t.name for t in api.artifact_types(f"{account.name}/{project}")]


def test_portfolios_drafts_tags_and_collections(account, project, api, tmp_path):
    import wandb

    path = f"{account.name}/{project}"
    with wandb.init(project=project, dir=tmp_path) as run:
        model = wandb.Artifact("net", type="model")
        with model.new_file("weights") as file:
            file.write("1 2 3")
        run.log_artifact(model).wait()
        run.link_artifact(model, "shelf", aliases=["prod"])
    linked = api.artifact(f"{path}/shelf:prod")
    assert (linked.version, linked.source_name, linked.is_link) == ("v0", "net:v0", True)
    assert set(linked.aliases) == {"latest", "prod"}
    assert Path(linked.download(root=tmp_path / "linked"), "weights").read_text() == "1 2 3"
    source = api.artifact(f"{path}/net:v0")
    assert [a.name for a in source.linked_artifacts] == ["shelf:v0"]
    linked.unlink()
    assert not api.artifact_exists(f"{path}/shelf:prod")

    source.tags.append("checked")
    source.save()
    assert api.artifact(f"{path}/net:v0").tags == ["checked"]
    draft = source.new_draft()
    with draft.new_file("more") as file:
        file.write("4")
    with wandb.init(project=project, dir=tmp_path) as run:
        run.log_artifact(draft).wait()
    newest = api.artifact(f"{path}/net:latest")
    assert (newest.version, set(newest.manifest.entries)) == ("v1", {"weights", "more"})

    collection = api.artifact_collection("model", f"{path}/net")
    collection.description, collection.name = "a net", "renamed"
    collection.save()
    assert api.artifact_collection("model", f"{path}/renamed").description == "a net"
    assert set(listed(account, project)) == {"renamed:v0", "renamed:v1"}
    api.artifact_collection("model", f"{path}/renamed").delete()
    assert listed(account, project) == {}


def test_collections_of_a_project_with_aliases_tags_and_type(account, project, api, tmp_path):
    path = f"{account.name}/{project}"
    for n in range(3):
        log(project, tmp_path, "kinds", make(tmp_path / f"k{n}", {"x": b"%d" % n}), [f"try-{n}"])
    log(project, tmp_path, "beside", make(tmp_path / "b", {"x": b"beside"}))
    by_project = {c.name: c.type for c in api.project(project, account.name).collections()}
    assert {name: by_project[name] for name in ("kinds", "beside")} == {"kinds": "dataset", "beside": "dataset"}

    collection = api.artifact_collection("dataset", f"{path}/kinds")
    assert set(collection.aliases) == {"latest", "try-0", "try-1", "try-2"}
    collection.tags = ["checked", "small"]
    collection.type = "corpus"
    collection.save()
    assert set(api.artifact_collection("corpus", f"{path}/kinds").tags) == {"checked", "small"}
    assert {a["type"] for name, a in listed(account, project).items() if name.startswith("kinds:")} == {"corpus"}
    assert api.artifact(f"{path}/kinds:try-1").type == "corpus"
    collection = api.artifact_collection("corpus", f"{path}/kinds")
    collection.tags = ["small"]
    collection.save()
    assert api.artifact_collection("corpus", f"{path}/kinds").tags == ["small"]


def test_a_portfolio_is_renamed_and_deleted_and_its_source_stays(account, project, api, tmp_path):
    path = f"{account.name}/{project}"
    log(project, tmp_path, "source", make(tmp_path / "d", {"x": b"linked"}))
    api.artifact(f"{path}/source:v0").link(f"{path}/shelf", aliases=["prod"])
    shelf = api.artifact_collection("dataset", f"{path}/shelf")
    assert not shelf.is_sequence()
    shelf.name, shelf.description, shelf.tags = "other-shelf", "what is good", ["kept"]
    shelf.save()
    read = api.artifact_collection("dataset", f"{path}/other-shelf")
    assert (read.description, read.tags, set(read.aliases)) == ("what is good", ["kept"], {"latest", "prod"})
    assert Path(api.artifact(f"{path}/other-shelf:prod").download(root=tmp_path / "got"), "x").read_bytes() == b"linked"
    read.delete()
    assert not api.artifact_collection_exists(f"{path}/other-shelf", "dataset")
    assert not api.artifact_exists(f"{path}/other-shelf:prod")
    assert set(listed(account, project)) == {"source:v0"}


def test_an_upload_must_match_its_digest(account, project, tmp_path):
    """Truncated or wrong bytes are refused where they arrive, and nothing of them can be committed."""
    import wandb

    # A run and a collection made by the client, then an upload by hand that lies.
    log(project, tmp_path, "honest", make(tmp_path / "data", {"x": b"honest"}))
    rest = account.rest
    created = rest.graphql(
        """mutation CreateArtifact($input: CreateArtifactInput!) {
            createArtifact(input: $input) { artifact { id state } } }""",
        {
            "input": {
                "entityName": account.name,
                "projectName": project,
                "artifactTypeName": "dataset",
                "artifactCollectionName": "liar",
                "digest": "0" * 32,
                "digestAlgorithm": "MANIFEST_MD5",
                "clientID": "c" * 128,
                "sequenceClientID": "s" * 128,
                "enableDigestDeduplication": True,
            }
        },
    )["data"]["createArtifact"]["artifact"]
    assert created["state"] == "PENDING"
    md5 = base64.b64encode(hashlib.md5(b"the promised bytes").digest()).decode()
    answer = rest.graphql(
        """mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
            createArtifactFiles(input: $input) {
                files { edges { node { uploadUrl uploadHeaders storagePath } } } } }""",
        {
            "input": {
                "artifactFiles": [{"artifactID": created["id"], "name": "x", "md5": md5}],
                "storageLayout": "V2",
            }
        },
    )
    upload = answer["data"]["createArtifactFiles"]["files"]["edges"][0]["node"]
    headers = dict(line.split(":", 1) for line in upload["uploadHeaders"] or [])
    plain = requests.Session()
    plain.trust_env = False
    wrong = plain.put(upload["uploadUrl"], data=b"other bytes", headers=headers, timeout=30)
    assert 400 <= wrong.status_code < 500, wrong.text
    signed = upload["uploadUrl"]
    forged = signed[:-8] + ("A" if signed[-8] != "A" else "B") + signed[-7:]
    refused = plain.put(forged, data=b"the promised bytes", headers=headers, timeout=30)
    assert 400 <= refused.status_code < 500, refused.text
    assert_cut_upload_is_refused(upload["uploadUrl"], headers)

    commit = rest.session.post(
        f"{rest.root}/graphql",
        json={
            "query": """mutation CommitArtifact($artifactID: ID!) {
                commitArtifact(input: {artifactID: $artifactID}) { artifact { id } } }""",
            "variables": {"artifactID": created["id"]},
        },
        timeout=30,
    )
    assert commit.json().get("errors"), commit.text
    assert set(listed(account, project)) == {"honest:v0"}
    with pytest.raises(wandb.errors.CommError):
        wandb.Api().artifact(f"{account.name}/{project}/liar:latest")


def assert_cut_upload_is_refused(url: str, headers: dict) -> None:
    """Announces more bytes than it sends and hangs up: the server must not keep them."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        lines = [f"PUT {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", "Content-Length: 18"]
        lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "content-length"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + b"the prom")
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert not answer.startswith(b"HTTP/1.1 2"), answer
