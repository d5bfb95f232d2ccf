"""YAML out: whole documents, and a changed value in a text whose every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from qtrl_spool.config.configuration import document_name
from qtrl_spool.config.tree import plain

_NUMBERS_OF_1_2 = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII
)


class _Dumper(yaml.CSafeDumper):
    """Quotes each text that YAML 1.1 or 1.2 would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_NUMBERS_OF_1_2.pattern})$"), list("-+.0123456789")
)


def dump_yaml(tree: Any) -> str:
    """Return `tree` as YAML that reads the same under 1.1 and 1.2."""
    return yaml.dump(plain(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def edited(texts: Mapping[str, str], old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the documents `new`, made from those of `old`."""
    result = {}
    for name, text in texts.items():
        document = document_name(name)
        if document in new:
            result[name] = text if new[document] is old[document] else dump_yaml(new[document])
    known = {document_name(name) for name in texts}
    return result | {f"{name}.yaml": dump_yaml(tree) for name, tree in new.items() if name not in known}
