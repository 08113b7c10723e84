"""Finds every GraphQL document in the installed `wandb` package. Nothing that it finds is kept in this repository."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import graphql
import wandb

_START = r"\s*(?:#.*\s*)*(query|mutation|subscription)\b"
_OPERATION = re.compile(rb"(?:query|mutation|subscription)\s+\w+\s*[({]")
_FRAGMENT = re.compile(rb"\s*fragment\s+\w+\s+on\s+\w+\s*\{")


@dataclass(frozen=True)
class Document:
    """One operation with the fragments that it needs, and the file that holds it."""

    name: str
    text: str
    origin: str


def package_folder() -> Path:
    return Path(wandb.__file__).parent


@cache
def python_documents() -> tuple[Document, ...]:
    """Every string literal of the Python sources that parses as a GraphQL document with an operation in it."""
    found = {}
    for origin, text in _literals():
        _add(found, text, origin)
    return tuple(found.values())


@cache
def composed_names() -> set[str]:
    """The operations whose text has holes that the client fills when it is called."""
    names = set()
    for _, text in _literals():
        if not _parses(text) and (match := re.match(_START + r"\s+(\w+)", text)):
            names.add(match[2])
    return names


@cache
def _literals() -> tuple[tuple[str, str], ...]:
    """File and text of every string literal that begins like an operation. Holes of f-strings are written `<hole>`."""
    found = []
    for path in sorted(package_folder().rglob("*.py")):
        if "vendor" in path.parts or "proto" in path.parts:
            continue
        tree = ast.parse(path.read_bytes())
        origin = str(path.relative_to(package_folder()))
        pieces = set()
        for node in ast.walk(tree):
            text = None
            if isinstance(node, ast.JoinedStr):
                pieces.update(map(id, node.values))
                text = "".join(v.value if isinstance(v, ast.Constant) else "<hole>" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
                text = node.value
            if text and "{" in text and re.match(_START, text):
                # One template has its hole as a word. Without it the document is one that older servers get.
                found.append((origin, text.replace("_PROJECT_QUERY_", "")))
    return tuple(found)


@cache
def core_documents() -> tuple[Document, ...]:
    """Every operation among the text constants of the Go program `wandb-core`."""
    data = (package_folder() / "bin" / "wandb-core").read_bytes()
    found = {}
    for match in _OPERATION.finditer(data):
        end = _closing_brace(data, match.start())
        while end and (fragment := _FRAGMENT.match(data, end)):
            end = _closing_brace(data, fragment.start())
        if end:
            _add(found, data[match.start() : end].decode("utf-8", "replace"), "bin/wandb-core")
    return tuple(found.values())


def _parses(text: str) -> bool:
    try:
        graphql.parse(text)
    except graphql.GraphQLSyntaxError:
        return False
    return True


def _add(found: dict, text: str, origin: str) -> None:
    if _parses(text):
        operation = next(d for d in graphql.parse(text).definitions if isinstance(d, graphql.OperationDefinitionNode))
        name = operation.name.value if operation.name else "anonymous"
        found.setdefault(" ".join(text.split()), Document(name, text, origin))


def _closing_brace(data: bytes, start: int, longest: int = 40_000) -> int | None:
    """Returns the position after the brace that closes the first selection set opened after `start`."""
    depth, parentheses = 0, 0
    for position in range(start, min(len(data), start + longest)):
        byte = data[position]
        if byte == ord("("):
            parentheses += 1
        elif byte == ord(")"):
            parentheses -= 1
        elif parentheses:
            continue
        elif byte == ord("{"):
            depth += 1
        elif byte == ord("}"):
            depth -= 1
            if depth == 0:
                return position + 1
    return None
