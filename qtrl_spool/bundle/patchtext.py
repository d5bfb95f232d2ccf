"""Writes small trees (patches, manifests) as YAML that reads back exactly.

Mappings are written one key a line, lists and what they hold in one line. Every text that any YAML
could take for something else is quoted; floats keep all their digits and a decimal point, so that
readers of YAML 1.1 agree too. The patch's markers are written as the tags ``!delete``, ``!new``
and ``!replace`` or in their JSON spelling, as they were.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from qtrl_spool.config.tree import Delete, New, Replace
from qtrl_spool.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[-/.][A-Za-z0-9_]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


def dump_patch(tree: Mapping[Any, Any]) -> str:
    """Return the YAML text of a patch or a manifest.

    Raises
    ------
    ConfigError
        If it holds something else than mappings, lists, texts, numbers, true, false, null and markers.
    """
    return "\n".join(_block(tree, "")) + "\n" if tree else "{}\n"


def _block(tree: Mapping[Any, Any], indent: str) -> list[str]:
    lines = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{_scalar(key)}:", *_block(value, indent + "  ")]
        else:
            lines.append(f"{indent}{_scalar(key)}: {_flow(value)}".rstrip())
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, Delete):
        return "!delete "  # libyaml reads a tag up to the next blank, even in {…}
    if isinstance(value, New | Replace):
        return f"{'!new' if isinstance(value, New) else '!replace'} {_flow(value.value)}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, str):
        return _text(value)
    raise ConfigError(
        f"a patch cannot hold {value!r}",
        hint="give texts, numbers, true, false, None, lists and mappings; of numpy take .tolist()",
    )


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ConfigError(f"a patch cannot hold {value}", hint="give a finite number")
    mantissa, exponent_mark, exponent = repr(value).partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + exponent_mark + exponent


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS:
        return value
    if _SURROGATE.search(value):
        raise ConfigError(f"a patch cannot hold {value!r}, it has half a character", hint="write it in full")
    quoted = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
