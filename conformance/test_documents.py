"""Every GraphQL document of the installed client fits the schema that the server serves."""

import json

import graphql
import pytest

import documents

def left_out(document: documents.Document) -> bool:
    """Organisations, registries and automations are outside what we promise."""
    return document.origin.startswith("automations/") or "Registr" in document.name


@pytest.fixture(scope="session")
def schema(account) -> graphql.GraphQLSchema:
    answer = account.rest.graphql(graphql.get_introspection_query())
    assert "errors" not in answer, answer["errors"][0]["message"]
    return graphql.build_client_schema(answer["data"])


def test_the_documents_of_the_client_are_found():
    """A change of the client that hides its documents from us must not make the next test pass for nothing."""
    python = {d.name for d in documents.python_documents()}
    core = {d.name for d in documents.core_documents()}
    assert {"GetRunQueueItem", "popFromRunQueue", "ArtifactMembershipByName"} <= python
    assert {"UpsertBucket", "CreateArtifact", "CommitArtifact", "CreateRunFiles"} <= core
    assert len(python) > 90, len(python)
    assert len(core) > 35, len(core)
    assert len(documents.composed_names()) >= 10, documents.composed_names()


@pytest.mark.parametrize("source", ["python", "core"])
def test_every_document_fits_the_schema(schema, source):
    found = documents.python_documents() if source == "python" else documents.core_documents()
    errors = []
    for document in found:
        if not left_out(document):
            for error in graphql.validate(schema, graphql.parse(document.text)):
                errors.append(f"{document.name} ({document.origin}): {error.message}")
    assert not errors, "\n".join(errors)


@pytest.fixture
def sent(monkeypatch, account) -> list[str]:
    """The documents that the client sends in this process, as they leave it."""
    from wandb.apis.public.service_api import ServiceApi

    texts = []
    original = ServiceApi.execute_graphql

    def recorded(self, query, *arguments, **options):
        texts.append(query)
        return original(self, query, *arguments, **options)

    monkeypatch.setattr(ServiceApi, "execute_graphql", recorded)
    return texts


def test_documents_that_are_composed_when_they_are_sent_fit_the_schema(schema, sent, account, project, api, tmp_path):
    """No text of the package is the whole of these, so they are taken as they are sent, and each must be."""
    import wandb
    from wandb.sdk.launch.api import LaunchApi

    with wandb.init(project=project, id="first", dir=tmp_path) as run:
        run.log({"x": 1})
        artifact = wandb.Artifact("data", type="dataset")
        with artifact.new_file("x") as file:
            file.write("x")
        run.log_artifact(artifact).wait()
    run = api.run(f"{account.name}/{project}/first")
    assert [r.id for r in api.runs(f"{account.name}/{project}")] == ["first"]
    assert "config.yaml" in {f.name for f in run.files()}
    assert [row["x"] for row in run.history(pandas=False)] == [1]
    run.use_artifact(api.artifact(f"{account.name}/{project}/data:v0"))
    run.notes = "changed"
    run.update()
    assert account.run(project, "first")["notes"] == "changed"

    account.queue(project)
    launch = LaunchApi()
    spec = {"job": f"{account.name}/{project}/none:latest", "entity": account.name, "project": project}
    assert launch.create_launch_agent(account.name, "model-registry", [project], {}, wandb.__version__)["launchAgentId"]
    launch.push_to_run_queue_by_name(account.name, "model-registry", project, json.dumps(spec), {"x": 1}, 2)
    # What it does at a server that does not know queues by name.
    launch.push_to_run_queue_by_name = lambda *_: None
    with pytest.raises(wandb.errors.CommError):
        launch.push_to_run_queue(project, spec, {"x": 1}, "model-registry")
    run.delete()
    account.rest.refused("GET", account.run_path(project, "first"), 404)

    names = set()
    for text in sent:
        document = graphql.parse(text)
        names |= {d.name.value for d in document.definitions if isinstance(d, graphql.OperationDefinitionNode)}
        errors = graphql.validate(schema, document)
        assert not errors, f"{errors}\n{text}"
    assert documents.composed_names() <= names, documents.composed_names() - names


def test_every_document_gets_an_answer_in_the_form_of_graphql(account):
    """Without its variables a document is refused or answered, but the server never fails on one."""
    wrong = []
    for document in (*documents.python_documents(), *documents.core_documents()):
        answer = account.rest.session.post(
            f"{account.rest.root}/graphql", json={"query": document.text, "operationName": ""}, timeout=30
        )
        body = answer.json()
        if answer.status_code >= 500 or not ("data" in body or body.get("errors", [{}])[0].get("message")):
            wrong.append(f"{document.name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
