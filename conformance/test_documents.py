"""Every GraphQL document of the installed client fits the schema that the server serves."""

import graphql
import pytest

import documents

# Composed when they are called, so no text of the package is the whole document. The tests named here send them.
COMPOSED = {
    "RunFiles": "test_tracking",
    "Runs": "test_public_api",
    "Run": "test_public_api",
    "UpsertBucket": "test_public_api",
    "DeleteRun": "test_public_api",
    "RunFullHistory": "test_public_api",
    "UseArtifact": "test_artifacts",
    "pushToRunQueueByName": "test_launch",
    "pushToRunQueue": "test_launch",
    "createLaunchAgent": "test_stock_agent",
}


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
    assert documents.composed_names() == set(COMPOSED)


@pytest.mark.parametrize("source", ["python", "core"])
def test_every_document_fits_the_schema(schema, source):
    found = documents.python_documents() if source == "python" else documents.core_documents()
    errors = []
    for document in found:
        if not left_out(document):
            for error in graphql.validate(schema, graphql.parse(document.text)):
                errors.append(f"{document.name} ({document.origin}): {error.message}")
    assert not errors, "\n".join(errors)


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
