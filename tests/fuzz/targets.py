"""The readers of what others wrote: each takes the source of chance, makes an input, and reads it.

A reader may refuse, by an exception of the package's own tree. Anything else is a crash. What it accepts must
survive being written and read again.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from qtrl_spool import run
from qtrl_spool.bundle import Manifest, from_members, from_text, pack, unpack
from qtrl_spool.bundle.limits import Limits
from qtrl_spool.bundle.strict import decode
from qtrl_spool.config import Configuration, load_config
from qtrl_spool.config.merge import parse_patch
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.job import Ticket, is_id, parse_final_name, parse_priority
from qtrl_spool.sequence.examine import Examined, raise_all
from qtrl_spool.sequence.wrapper import SequenceWrapper
from qtrl_spool.server.asking import checked_verb
from qtrl_spool.spool.accepting import Taken, parse_taken, shortened
from qtrl_spool.spool.requests import _answered

from . import inputs

LIMITS = Limits(max_bytes=200_000, max_unpacked_bytes=400_000, max_yaml_bytes=50_000, max_values=50_000)


@functools.cache
def default() -> Configuration:
    return load_config(Path(__file__).parents[2] / "configs")


def _same_again(bundle: Any) -> None:
    again = unpack(pack(bundle), where="again")
    assert json.dumps(again.sequence) == json.dumps(bundle.sequence)
    assert again.manifest == bundle.manifest
    assert pack(again) == pack(bundle)


def zip_file(chance: Random) -> None:
    _same_again(unpack(inputs.archive(chance), LIMITS, "drop.qjob"))


def folder(chance: Random) -> None:
    _same_again(from_members(inputs.members(chance), LIMITS, "drop"))


def json_drop(chance: Random) -> None:
    whole = {**inputs.SEQUENCE, "config": inputs.PATCH, "job": inputs.MANIFEST}
    _same_again(from_text(inputs.json_text(chance, whole), "drop.json", LIMITS))


def yaml_drop(chance: Random) -> None:
    _same_again(from_text(inputs.yaml_text(chance), "drop.yaml", LIMITS))


def any_bytes(chance: Random) -> None:
    data = inputs.mangled(chance, inputs.yaml_text(chance).encode(errors="surrogatepass"))
    from_text(decode(data, "drop"), chance.choice(("drop.json", "drop.yaml")), LIMITS)


def sequence(chance: Random) -> None:
    tree = inputs.tree(chance, inputs.SEQUENCE, 5)
    examined = Examined.of(tree)
    raise_all(examined.wanting(default().pulses))
    assert examined.wrapper is not None
    form = examined.wrapper.to_dict()
    assert SequenceWrapper.from_dict(form).to_dict() == form


def yaml(chance: Random) -> None:
    text = inputs.yaml_text(chance)
    parse_yaml(text, "text", document=chance.random() < 0.5)


def manifest(chance: Random) -> None:
    made = Manifest.from_dict(inputs.tree(chance, inputs.MANIFEST, 4))
    assert Manifest.from_dict(made.to_dict()) == made


def patch(chance: Random) -> None:
    tree = inputs.tree(chance, inputs.PATCH, 4)
    default().merged(parse_patch(tree))


def request(chance: Random) -> None:
    of = chance.choice((inputs.REQUEST, inputs.CONFIG_REQUEST))
    text = inputs.json_text(chance, of)
    try:
        tree = parse_yaml(text, "request")
    except QtrlSpoolError as error:
        _answered(None, text, {"ok": False, "error": error.record()}).encode(errors="replace")
        raise
    _answered(tree if isinstance(tree, dict) else None, text, {"ok": True}).encode(errors="replace")
    if isinstance(tree, dict):
        checked_verb(tree)


def name(chance: Random) -> None:
    word = inputs.file_name(chance)
    for parse in (Ticket.parse, parse_final_name, parse_priority, parse_taken, is_id):
        parse(word)
    taken = Taken(50, "20261123-101530-rabi-k3f9x", shortened(word))
    assert len(taken.file_name.encode()) < 255
    assert taken.file_name.isprintable()
    if taken.name:
        assert parse_taken(taken.file_name) == taken


def whole_job(chance: Random) -> None:
    """Do all that acceptance does with a drop."""
    bundle = from_members(inputs.members(chance), LIMITS, "drop")
    run.check(bundle, default())
    pack(bundle)


_READERS = (zip_file, folder, json_drop, yaml_drop, any_bytes, sequence, yaml, manifest, patch, request)
TARGETS: dict[str, Callable[[Random], None]] = {each.__name__: each for each in (*_READERS, name, whole_job)}


def attempt(target: str, chance: Random) -> bool:
    """Give a reader one input; return whether it took it, and raise what is no refusal."""
    try:
        TARGETS[target](chance)
    except QtrlSpoolError as error:
        assert all(each.isprintable() for each in str(error).replace("\t", " ").split("\n")), (
            "it steers a terminal"
        )
        return False
    return True
