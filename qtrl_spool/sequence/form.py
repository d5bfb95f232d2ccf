"""The plain form of a sequence, ``qtrl-sequence/1``: what lies in ``sequence.json``.

`tree_of` writes it canonically (fixed order of keys, nothing that is a default), `head_of` and `fill`
read it and say everything that is wrong with it, with append numbers from 0. Values come back as they
were written: floats to the bit, sweeps as they were spelled. The JSON Schema in
``qtrl-sequence-1.schema.json`` says the same; `schema` reads it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.checks import combined, element_problem, with_place
from qtrl_spool.sequence.kinds import is_index, is_number
from qtrl_spool.sequence.lists import Sequential, Simultaneous, sequential, simultaneous
from qtrl_spool.sequence.pulse import OVERRIDES
from qtrl_spool.sequence.records import (
    BY_END,
    BY_START,
    DEFAULT_SAMPLE_RATE,
    START,
    Record,
    Recorder,
    element_of,
    unknown_override,
)
from qtrl_spool.sequence.sweep import Elements, is_swept, values_of

if TYPE_CHECKING:
    from qtrl_spool.sequence.wrapper import SequenceWrapper

FORMAT = "qtrl-sequence/1"
HEAD = ("format", "name", "n_elements", "x_axis", "sample_rate", "appends")
APPEND = ("pulse", "element", "start", "end", "start_delay", "end_delay")


@cache
def schema() -> Any:
    """Return the JSON Schema of ``qtrl-sequence/1``."""
    text = resources.files("qtrl_spool.sequence").joinpath("qtrl-sequence-1.schema.json").read_text("utf-8")
    return json.loads(text)


def schema_problems(tree: Any) -> tuple[SequenceError, ...]:
    """Return what the JSON Schema finds wrong with a plain tree; of appends that are alike, at the first."""
    from jsonschema import Draft202012Validator

    first = _first_of_a_kind(tree)
    if first:
        tree = {**tree, "appends": [tree["appends"][index] for index in first]}
    errors = Draft202012Validator(schema()).iter_errors(tree)
    found = sorted((_schema_place(error.path, first), error.message[:300]) for error in errors)
    return tuple(SequenceError(message, where=where or "the sequence") for where, message in found)


def _first_of_a_kind(tree: Any) -> list[int]:
    """Return the appends that differ from all before in more than the names and numbers they use."""
    appends = tree.get("appends") if isinstance(tree, Mapping) else None
    if not isinstance(appends, list):
        return []
    kinds: dict[str, int] = {}
    for index, entry in enumerate(appends):
        kinds.setdefault(json.dumps(_kind(entry), default=repr), index)
    return sorted(kinds.values())


def _kind(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    return {str(key): type(v).__name__ if type(v) in (str, int, float) else v for key, v in entry.items()}


def _schema_place(path: Any, first: list[int]) -> str:
    steps = list(path)
    if len(steps) > 1 and steps[0] == "appends":
        return "/".join(map(str, [f"append {first[steps[1]]}", *steps[2:]]))
    return "/".join(map(str, steps))


# --- writing -------------------------------------------------------------------------------------


def tree_of(sequence: Recorder) -> dict[str, Any]:
    """Return the canonical plain tree of a sequence of keys."""
    tree: dict[str, Any] = {"format": FORMAT, "name": sequence.name, "n_elements": sequence.n_elements}
    if sequence._axis.given is not None:
        tree["x_axis"] = sequence._axis.given
    if sequence.sample_rate != DEFAULT_SAMPLE_RATE:
        tree["sample_rate"] = sequence.sample_rate
    tree["appends"] = [_append_out(record) for record in sequence._columns]
    return tree


def _append_out(record: Record) -> dict[str, Any]:
    pulse, element, start, end, before, after, overrides, given = record
    tree: dict[str, Any] = {"pulse": pulse if type(pulse) is str else _pulse_out(pulse)}
    if element is not None:
        tree["element"] = element if type(element) is int else _element_out(element)
    if given & BY_START if given & BY_END else start != START:
        tree["start"] = start
    if given & BY_END:
        tree["end"] = end
    if before:
        tree["start_delay"] = _plain(before)
    if after:
        tree["end_delay"] = _plain(after)
    if overrides:
        tree.update({name: _plain(value) for name, value in sorted(overrides.items())})
    return tree


def _pulse_out(pulse: Any) -> Any:
    if isinstance(pulse, str):
        return pulse
    if isinstance(pulse, Simultaneous):
        return {"simultaneous": [_pulse_out(entry) for entry in pulse.pulses]}
    if isinstance(pulse, Sequential):
        return {"sequential": [_pulse_out(entry) for entry in pulse.groups]}
    return [_pulse_out(entry) for entry in pulse]


def _element_out(element: Any) -> Any:
    if isinstance(element, Elements):
        return {element.form: list(element.numbers)}
    if isinstance(element, slice):
        return {"slice": [element.start, element.stop, element.step]}
    return list(element) if isinstance(element, tuple) else element


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it; complex numbers as ``[re, im]``."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        if any(isinstance(entry, complex) for entry in value):
            value = [complex(entry) for entry in value]
        return [_plain(entry) for entry in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value.item() if isinstance(value, np.generic) else value


# --- reading -------------------------------------------------------------------------------------


def pulse_in(pulse: Any) -> Any:
    """Return a key, or keys in lists, `Simultaneous` or `Sequential`, as something hashable."""
    if isinstance(pulse, (str, Simultaneous, Sequential)):
        return pulse
    if isinstance(pulse, Mapping) and len(pulse) == 1:
        word, entries = next(iter(pulse.items()))
        makers = {"simultaneous": simultaneous, "sequential": sequential}
        if word in makers and isinstance(entries, (list, tuple)):
            return makers[word](*map(pulse_in, entries))
    if isinstance(pulse, (list, tuple)):
        if not pulse:
            raise SequenceError("the list of pulses is empty", hint="leave the append out, or name a pulse")
        return tuple(map(pulse_in, pulse))
    raise SequenceError(
        f"{pulse!r:.80} is not a pulse key",
        hint="a key such as 'Q6/X180', a list of keys, {simultaneous: […]} or {sequential: […]}",
    )


def head_of(tree: Any) -> dict[str, Any]:
    """Return the arguments of `SequenceWrapper` in a plain tree."""
    if not isinstance(tree, Mapping):
        raise SequenceError(f"a sequence is a mapping, not {type(tree).__name__}")
    _check_format(tree.get("format"))
    for key in tree:
        if key not in HEAD:
            raise SequenceError(
                f"a sequence has no {key!r}", hint=did_you_mean(str(key), HEAD) or f"it has {', '.join(HEAD)}"
            )
    for key in ("n_elements", "appends"):
        if key not in tree:
            raise SequenceError(f"the sequence lacks {key!r}")
    if not isinstance(tree["appends"], (list, tuple)):
        raise SequenceError(f"appends must be a list, not {type(tree['appends']).__name__}")
    if not isinstance(tree.get("name", ""), str):
        raise SequenceError(f"name is {tree['name']!r}: it must be text")
    return {key: tree[key] for key in ("n_elements", "sample_rate", "x_axis", "name") if key in tree}


def _check_format(found: Any) -> None:
    if found == FORMAT:
        return
    if found is None:
        raise SequenceError(
            "the sequence does not say its format", hint=f"write `format: {FORMAT}` at its top"
        )
    match = re.fullmatch(r"qtrl-sequence/(\d+)", str(found))
    if match:
        raise SequenceError(
            f"the sequence has format {found!r}; this version reads {FORMAT!r}",
            hint=f"it needs a version of qtrl-spool that reads qtrl-sequence/{match[1]}",
        )
    raise SequenceError(f"the format {found!r} is not known", hint=f"this version reads {FORMAT!r}")


def fill(sequence: SequenceWrapper, tree: Mapping[str, Any]) -> None:
    """Append what the plain tree holds; raise everything that is wrong with it in one error."""
    problems: list[SequenceError] = []
    for index, entry in enumerate(tree["appends"]):
        try:
            found = list(_entry_problems(entry, sequence.n_elements))
            if not found:
                sequence.append(**entry)
        except SequenceError as error:
            found = [error]
        problems += [with_place(error, index) for error in found]
    if problems:
        raise combined(problems)


def _entry_problems(entry: Any, n_elements: int) -> Iterator[SequenceError]:
    if not isinstance(entry, Mapping):
        yield SequenceError(f"an append is a mapping, not {entry!r:.80}")
        return
    strange = [key for key in entry if key not in APPEND and key not in OVERRIDES]
    if "pulse" not in entry and not strange:
        yield SequenceError("the append has no pulse", hint="name one: `pulse: Q6/X180`")
    for key in strange:
        yield unknown_override(str(key), 0)
    for key, value in entry.items():
        if key in strange:
            continue
        problem = _FIELD[key](value, n_elements) if key in APPEND else _override_problem(key, value)
        if problem:
            yield problem


def _name_problem(value: Any, n_elements: int) -> SequenceError | None:
    if value is None or isinstance(value, str):
        return None
    return SequenceError(f"start or end is {value!r}: it must be the name of a reference")


def _delay_problem(value: Any, n_elements: int) -> SequenceError | None:
    return _swept_or(value, is_number, "a delay", "a number of seconds")


def _element_problem(value: Any, n_elements: int) -> SequenceError | None:
    if isinstance(value, Mapping) and isinstance(element_of(value), Mapping):
        return SequenceError(f"element is {value!r:.80}", hint="{sweep: [a, b]} or {slice: [a, b, step]}")
    if value == []:
        return None
    element = element_of(value)
    if isinstance(element, Elements):
        try:
            element.indices(n_elements)
        except SequenceError as error:
            return error
    return element_problem(element, n_elements)


def _pulse_problem(value: Any, n_elements: int) -> SequenceError | None:
    try:
        pulse_in(value)
    except SequenceError as error:
        return error
    return None


_FIELD = {
    "pulse": _pulse_problem,
    "element": _element_problem,
    "start": _name_problem,
    "end": _name_problem,
    "start_delay": _delay_problem,
    "end_delay": _delay_problem,
}


def _swept_or(value: Any, good: Any, what: str, rule: str) -> SequenceError | None:
    if not is_swept(value):
        return None if good(value) else SequenceError(f"{what} is {value!r:.80}: it must be {rule}")
    try:
        values = values_of(value)
    except SequenceError as error:
        return error
    wrong = [entry for entry in values if not good(entry)]
    return (
        SequenceError(f"{what} has {wrong[0]!r:.80} among its values: it must be {rule}") if wrong else None
    )


_OVERRIDE_RULES: dict[str, tuple[Any, str]] = {
    "freq": (lambda value: value is None or is_number(value), "a number in Hz or null"),
    "width": (lambda value: value is None or is_number(value), "a number of seconds"),
    "phase": (is_number, "a number in rad"),
    "t0": (is_number, "a number of seconds"),
    "channel": (is_index, "an integer"),
    "subchannel": (is_index, "an integer"),
    "env_func": (lambda value: isinstance(value, str), "the name of an envelope"),
    "kwargs": (lambda value: isinstance(value, Mapping), "a mapping"),
}


def _override_problem(name: str, value: Any) -> SequenceError | None:
    good, rule = _OVERRIDE_RULES[name]
    if name != "kwargs":
        return _swept_or(value, good, name, rule)
    if not good(value):
        return SequenceError(f"kwargs is {value!r:.80}: it must be a mapping")
    for key, entry in value.items():
        problem = _swept_or(entry, _holds_numbers, f"kwargs {key}", "numbers or text")
        if problem:
            return problem
    return None


def _holds_numbers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_holds_numbers, value))
    return value is None or isinstance(value, (str, bool)) or (is_number(value) and math.isfinite(value))
