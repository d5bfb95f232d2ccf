"""Makes inputs: good ones, mangled, spliced, and grown from what has hurt readers before.

Every function takes the source of chance, so that one number gives the same input again.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

SEQUENCE: dict[str, Any] = {
    "format": "qtrl-sequence/1",
    "name": "rabi",
    "n_elements": 3,
    "x_axis": {"name": "pulse width", "unit": "us", "values": [0.0, 0.5, 1.0]},
    "appends": [
        {"pulse": "Q3/X180", "element": 1},
        {"pulse": "Q3/X180", "element": {"sweep": [0, 3]}, "width": {"linspace": [0, 1e-6, 3]}},
        {"pulse": {"simultaneous": ["Q3/X90", "Q2/X90"]}, "start": "ref1", "start_delay": 1e-8},
        {"pulse": "Readout/R3", "start": "ref2", "end_delay": 1e-8},
    ],
}
MANIFEST: dict[str, Any] = {
    "format": "qtrl-job/1", "name": "rabi", "tags": ["a", "b"], "n_reps": 5, "config_version": "latest",
    "max_duration": "10 min", "on_interrupt": "requeue", "hold": False, "notes": "two\nlines",
}  # fmt: skip
PATCH: dict[str, Any] = {
    "variables": {"Q3/freq": 5.41e9, "Q3": {"rabi_amp": 0.1}},
    "adc": {"acquisition_settings": {"n_reps": 3, "n_batches": 1}},
}
REQUEST: dict[str, Any] = {"move": "20261123-101530-rabi-k3f9x", "priority": "urgent"}
CONFIG_REQUEST: dict[str, Any] = {"config": {"variables": {"Q3/freq": 5.4e9}}, "base": 1, "reason": "x"}

YAML = """\
format: qtrl-sequence/1
name: &name rabi
n_elements: 3
appends:
- {pulse: Q3/X180, element: 1}
- pulse: Readout/R3
  start: ref1
config:
  variables: {Q3/freq: 5.41e9, new: !new 1}
job: {n_reps: 5, name: *name, notes: "a\\tb"}
...
"""
WORDS = (
    "1e999", "-0", ".inf", "NaN", "Infinity", "0x1f", "0o17", "1_000", "9" * 30, "9" * 5000, "~",
    "null", "on", "true", "2026-11-23", "1:30", "<<", "!!python/object/apply:os.system [ls]", "!new",
    "!delete", "!replace", "!!omap", "!!set", "!!binary", "&a [*a]", "*a", "&a", "- ", "? ", ": ", "{",
    "}", "[", "]", "[" * 200, '{"a":' * 200, ",", "'", '"', "\\", "\\ud800", "\\udc00", "\\u0000",
    "\\u202e", "\\", "\0", "\t", "\r\n", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ufeff", "\ud7ff",
    "\U0010ffff", "é", "e\u0301", "#", "%YAML 1.1\n", "---\n", "...\n", "|\n  x\n", ">-\n", "../", "/",
    "$new", "$delete", "Q3/freq", "variables", "a/b/c", "linspace", "sweep", "values", "slice",
    "simultaneous", "sequential", "appends", "kwargs",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**12, 0.0, -0.0, 1e-300, 1e300, 5e-324, 0.1,
    "", " ", "x" * 300, "Q3/X180", "Readout/R3", "ref1", "ref99", "../..", "\x1b[2J", "\u202e", "é",
    "latest", [], {}, [[]], [{}], {"": 0}, {"a": {}}, [0] * 50, ["Q3/X180"] * 20, {"sweep": [0, 3]},
    {"sweep": [3, 0]}, {"sweep": [0, 10**12]}, {"sweep": "x"}, {"linspace": [0, 1, 10**12]},
    {"linspace": [0, 1, -1]}, {"linspace": [0, 1]}, {"arange": [0, 1, 1e-15]}, {"arange": [0, 1, 0]},
    {"values": []}, {"values": [[1]]}, {"slice": [None, None, 0]}, {"slice": [0, 10**12, 1]},
    {"simultaneous": []}, {"sequential": [["Q3/X90"], []]}, {"$new": 1}, {"$delete": True},
    {"$replace": {}},
)  # fmt: skip


def tree(chance: Random, of: Any, n: int = 3) -> Any:
    """Return a copy of a tree in which up to `n` things are other than they were."""
    made = json.loads(json.dumps(of))
    for _ in range(chance.randint(0, n)):
        made = _changed(chance, made)
    return made


def _changed(chance: Random, node: Any) -> Any:
    if isinstance(node, dict) and node and chance.random() < 0.8:
        key = chance.choice(list(node))
        act = chance.randrange(5)
        if act == 0:
            return {each: value for each, value in node.items() if each != key}
        if act == 1:
            return {**node, chance.choice(WORDS): chance.choice(VALUES)}
        return {**node, key: _changed(chance, node[key])}
    if isinstance(node, list) and node and chance.random() < 0.8:
        index = chance.randrange(len(node))
        act = chance.randrange(4)
        if act == 0:
            return node[:index] + node[index + 1 :]
        if act == 1:
            return node[:index] + [node[chance.randrange(len(node))]] * chance.randint(1, 5) + node[index:]
        return [*node[:index], _changed(chance, node[index]), *node[index + 1 :]]
    return chance.choice((*VALUES, *WORDS[:20])) if chance.random() < 0.8 else [node, node]


def text(chance: Random, of: str, n: int = 6) -> str:
    """Return a text with up to `n` things cut, doubled, exchanged or put in."""
    made = of
    for _ in range(chance.randint(0, n)):
        at = chance.randint(0, len(made))
        end = min(len(made), at + chance.choice((0, 1, 1, 2, 5, 20, 100)))
        act = chance.randrange(5)
        if act == 0:
            made = made[:at] + made[end:]
        elif act == 1:
            made = made[:end] + made[at:end] * chance.randint(1, 20) + made[end:]
        elif act == 2:
            made = made[:at] + chance.choice(WORDS) + made[at:]
        elif act == 3:
            made = made[:at] + chance.choice(WORDS) + made[end:]
        else:
            made = (
                made[:at] + chr(chance.choice((chance.randrange(128), chance.randrange(0xD800)))) + made[at:]
            )
    return made[:20_000]


def mangled(chance: Random, of: bytes, n: int = 5) -> bytes:
    """Return bytes of which up to `n` are others, cut away, doubled, or put in."""
    made = bytearray(of)
    for _ in range(chance.randint(0, n)):
        at = chance.randint(0, len(made))
        act = chance.randrange(6)
        if act == 0 and made:
            made[at % len(made)] = chance.randrange(256)
        elif act == 1 and made:
            made[at % len(made)] ^= 1 << chance.randrange(8)
        elif act == 2:
            del made[at : at + chance.choice((1, 2, 4, 50))]
        elif act == 3:
            made[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 4, 8))))
        elif act == 4:
            made[at : at + 4] = chance.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"PK\x05\x06", b"PK\x01\x02")
            )
        else:
            made = made[: chance.randint(0, len(made))]
    return bytes(made)


NAMES = (
    "sequence.json", "sequence.yaml", "SEQUENCE.JSON", "config.yaml", "config.json", "job.yaml",
    "job.json", "x/sequence.json", "../sequence.json", "/etc/passwd", "C:sequence.json", "a\\b",
    "sequence.json/", "", ".", "a\nb", "\x1b]0;x\x07", "seq\u202euence.json", "e\u0301.json",
    "\u00e9.json", "CON", "x" * 300, "._job.yaml", "__MACOSX/x", ".DS_Store", "data.pkl",
)  # fmt: skip


def members(chance: Random) -> dict[str, bytes]:
    """Return the files of a bundle, more or less."""
    made = {
        "sequence.json": json.dumps(tree(chance, SEQUENCE)).encode(),
        "config.yaml": text(chance, json.dumps(tree(chance, PATCH, 1)), chance.choice((0, 0, 0, 2))).encode(
            errors="replace"
        ),
        "job.yaml": text(chance, json.dumps(tree(chance, MANIFEST, 1)), chance.choice((0, 0, 0, 2))).encode(
            errors="replace"
        ),
    }
    for _ in range(chance.choice((0, 0, 0, 0, 1, 2))):
        made[chance.choice(NAMES)] = mangled(chance, chance.choice(list(made.values())))
    for name in list(made):
        if chance.random() < 0.1:
            del made[name]
    return made


def archive(chance: Random) -> bytes:
    """Return a ZIP, more or less: odd names, methods, kinds and flags, then bytes that are others."""
    import warnings

    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as made:
        warnings.simplefilter("ignore")
        for name, data in members(chance).items():
            entry = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
            entry.filename = name
            entry.compress_type = chance.choice((0, 8)) if chance.random() < 0.97 else 12
            entry.create_system = chance.choice((0, 3, 3))
            kind = 0o100644 if chance.random() < 0.95 else chance.choice((0o120777, 0o40755, 0o20666))
            entry.external_attr = kind << 16
            made.writestr(entry, data)
            if chance.random() < 0.03:
                made.writestr(entry, data)
        if chance.random() < 0.1:
            made.comment = mangled(chance, b"PK\x05\x06" * 10)
    return mangled(chance, file.getvalue(), chance.choice((0, 0, 0, 3, 5)))


def json_text(chance: Random, of: Any) -> str:
    """Return JSON of a changed tree, as a text that may be mangled, too."""
    made = json.dumps(tree(chance, of), indent=chance.choice((None, 1)), ensure_ascii=chance.random() < 0.5)
    return text(chance, made, chance.choice((0, 0, 2, 6)))


def yaml_text(chance: Random) -> str:
    """Return YAML, more or less."""
    return text(chance, chance.choice((YAML, json.dumps(tree(chance, {**SEQUENCE, "job": MANIFEST})))))


def file_name(chance: Random) -> str:
    """Return the name of something that was dropped."""
    suffix = chance.choice((".json", ".yaml", ".yml", ".qjob", ".zip", "", ".txt", ".part", "~"))
    return text(chance, chance.choice(("rabi", *NAMES, "20261123-101530-rabi-k3f9x")), 3)[:200] + suffix


Maker = Callable[[Random], Any]
