"""Texts as documents: which file holds which, all their problems at once, and one digest of all.

Called by: ``configuration``, ``store``.
Fails: `ConfigError` with the problems of all files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qtrl_spool.config.tree import Tree
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import ConfigError


def raise_all(problems: Sequence[ConfigError]) -> None:
    """Raise all `problems` as one error of the first one's class, if there are any."""
    if not problems:
        return
    first = problems[0]
    if len(problems) == 1:
        raise first
    raise type(first)(
        f"{first.message} (and {len(problems) - 1} more)",
        where=first.where,
        hint=first.hint,
        problems=tuple(problems),
        excerpt=first.excerpt,
    )


def document_name(file_name: str) -> str:
    """Return the name of the document that a file holds: ``Pulses.yaml`` holds ``pulses``."""
    return file_name.rpartition(".")[0].casefold()


def parse_documents(texts: Mapping[str, str]) -> dict[str, Tree]:
    """Return the documents that texts hold.

    Raises
    ------
    ConfigError
        All problems of all files.
    """
    documents: dict[str, Tree] = {}
    sources: dict[str, str] = {}
    problems: list[ConfigError] = []
    for file_name, text in texts.items():
        name = document_name(file_name)
        if name in sources:
            problems.append(
                ConfigError(f"{sources[name]} and {file_name} are the same document", hint="keep one")
            )
            continue
        sources[name] = file_name
        try:
            documents[name] = _parse_document(text, file_name)
        except ConfigError as error:
            problems.extend(error.problems)
    raise_all(problems)
    return documents


def _parse_document(text: str, file_name: str) -> Tree:
    tree = parse_yaml(text, file_name, document=True)
    if tree is None:
        return Tree({})
    if not isinstance(tree, Tree):
        raise ConfigError("a document is a mapping of names to values", where=f"{file_name}:1:1")
    return tree


def canonical(value: Any) -> str:
    """Return a value as JSON that is the same for equal values, whatever the order of their keys."""
    if isinstance(value, dict):
        pairs = sorted((str(key), type(key).__name__, each) for key, each in value.items())
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(each)}" for key, _, each in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
