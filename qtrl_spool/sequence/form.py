"""The plain form of a sequence, ``qtrl-sequence/1``: what lies in ``sequence.json``.

`tree_of` writes it canonically (fixed order of keys, nothing that is a default), `head_of` and `fill`
read it and say everything that is wrong with it, with append numbers from 0. Values come back as they
were written: floats to the bit, sweeps as they were spelled. The JSON Schema in
``qtrl-sequence-1.schema.json`` says the same; `schema` reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.checks import element_problem, with_place
from qtrl_spool.sequence.kinds import is_index, is_number
from qtrl_spool.sequence.lists import Sequential, Simultaneous, sequential, simultaneous
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
PLAIN = frozenset((float, int, str))
NO_PULSE = sequential()
"""Stands for a pulse that cannot be read."""
MOST_PROBLEMS = 1000
"""After so many problems with appends the rest of a sequence is not read."""
_MOST_KEYS = 20
_LONGEST_LIST = 1000


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
        tree = {**tree, "appends": [_beginning(tree["appends"][index]) for index in first]}
    rules, seen = schema(), repr(tree)
    if _GOOD.get(seen) is rules:
        return ()
    errors = Draft202012Validator(rules).iter_errors(tree)
    found = sorted((_schema_place(error.path, first), error.message[:300]) for error in errors)
    if not found and len(seen) <= _MOST_SEEN:
        _GOOD[seen] = rules
        if len(_GOOD) > _MOST_GOOD:
            _GOOD.pop(next(iter(_GOOD)), None)
    return tuple(SequenceError(message, where=where or "the sequence") for where, message in found)


_MOST_SEEN, _MOST_GOOD = 20_000, 200
_GOOD: dict[str, Any] = {}
"""By which rules a tree was found to be good: a server examines each sequence twice."""


def _beginning(value: Any) -> Any:
    """Return a value with long lists cut: the schema says the same of every item, and takes its time."""
    if isinstance(value, list):
        return [_beginning(each) for each in value[:_LONGEST_LIST]]
    return {key: _beginning(each) for key, each in value.items()} if isinstance(value, dict) else value


def _first_of_a_kind(tree: Any) -> list[int]:
    """Return the appends that differ from all before in more than the names and numbers they use."""
    appends = tree.get("appends") if isinstance(tree, Mapping) else None
    if not isinstance(appends, list):
        return []
    kinds: dict[Any, int] = {}
    for index, entry in enumerate(appends):
        kinds.setdefault(_kind(entry), index)
    return sorted(kinds.values())


def _kind(entry: Any) -> Any:
    """Return a hashable, equal for appends of which the schema must say the same."""
    if type(entry) is not dict:
        return repr(entry)
    return tuple(
        [(key, type(value) if type(value) in PLAIN else repr(value)) for key, value in entry.items()]
    )


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


def head_of(tree: Any) -> tuple[dict[str, Any] | None, list[SequenceError]]:
    """Return the arguments of `SequenceWrapper` in a plain tree, those that are wrong left out, and why.

    The arguments are None where no sequence can be made: not of this format, or without elements.
    """
    if not isinstance(tree, Mapping):
        return None, [SequenceError(f"a sequence is a mapping, not {type(tree).__name__}")]
    wrong = _format_problem(tree.get("format"))
    if wrong:
        return None, [wrong]
    unknown = [key for key in tree if key not in HEAD]
    problems = [
        SequenceError(
            f"a sequence has no {key!r:.80}", hint=did_you_mean(str(key), HEAD) or f"it has {', '.join(HEAD)}"
        )
        for key in unknown[:_MOST_KEYS]
    ]
    if len(unknown) > _MOST_KEYS:
        problems.append(SequenceError(f"it has {len(unknown) - _MOST_KEYS} more keys that no sequence has"))
        return None, problems
    problems += [
        SequenceError(f"the sequence lacks {key!r}") for key in ("n_elements", "appends") if key not in tree
    ]
    if not isinstance(tree.get("appends", []), (list, tuple)):
        problems.append(SequenceError(f"appends must be a list, not {type(tree['appends']).__name__}"))
    if not isinstance(tree.get("name", ""), str):
        problems.append(SequenceError(f"name is {tree['name']!r}: it must be text"))
    head: dict[str, Any] = {"n_elements": 1}
    for key in ("n_elements", "sample_rate", "x_axis"):
        try:
            if key in tree:
                Recorder(**{**head, key: tree[key]})
                head[key] = tree[key]
        except SequenceError as error:
            problems.append(error)
            if key == "n_elements":
                return None, problems
    if isinstance(tree.get("name"), str):
        head["name"] = tree["name"]
    return (head if "n_elements" in tree else None), problems


def _format_problem(found: Any) -> SequenceError | None:
    if found == FORMAT:
        return None
    if found is None:
        hint = f"write `format: {FORMAT}` at its top"
        return SequenceError("the sequence does not say its format", hint=hint)
    match = re.fullmatch(r"qtrl-sequence/(\d+)", str(found))
    if match:
        return SequenceError(
            f"the sequence has format {found!r}; this version reads {FORMAT!r}",
            hint=f"it needs a version of qtrl-spool that reads qtrl-sequence/{match[1]}",
        )
    return SequenceError(f"the format {found!r} is not known", hint=f"this version reads {FORMAT!r}")


def fill(sequence: SequenceWrapper, tree: Mapping[str, Any]) -> tuple[list[SequenceError], frozenset[int]]:
    """Append what the plain tree holds; return what is wrong with it, and the appends concerned.

    An append with something wrong is there all the same, with what is right of it, so that the others
    keep their numbers and references. After a thousand problems the rest is not looked at.
    """
    problems: list[SequenceError] = []
    spoiled: list[int] = []
    entries = tree.get("appends")
    for index, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
        if len(problems) >= MOST_PROBLEMS:
            break
        wrong = _entry_problems(entry, sequence.n_elements)
        if not wrong:
            sequence.append(**entry)
            continue
        problems += [with_place(error, index) for _, error in wrong]
        spoiled.append(index)
        sequence.append(**_standing_in(entry, {key for key, _ in wrong}))
    return problems, frozenset(spoiled)


def _standing_in(entry: Any, wrong: set[str | None]) -> dict[str, Any]:
    """Return an append with the pulse, element and references of `entry` that are not `wrong`."""
    good = {"pulse": NO_PULSE}
    if isinstance(entry, Mapping):
        kept = ("pulse", "element", "start", "end")
        good |= {key: entry[key] for key in kept if key in entry and key not in wrong}
    return good


def _entry_problems(entry: Any, n_elements: int) -> list[tuple[str | None, SequenceError]]:
    """Return what is wrong with an append, each with the key that it concerns."""
    if not isinstance(entry, Mapping):
        return [(None, SequenceError(f"an append is a mapping, not {entry!r:.80}"))]
    found: list[tuple[str | None, SequenceError]] = []
    if "pulse" not in entry and all(key in _CHECKS for key in entry):
        found.append(("pulse", SequenceError("the append has no pulse", hint="name one: `pulse: Q6/X180`")))
    for key, value in entry.items():
        check = _CHECKS.get(key)
        if len(found) > _MOST_KEYS:
            break
        if check is None:
            found.append((key, unknown_override(str(key), 0)))
            continue
        problem = check(value, n_elements)
        if problem:
            found.append((key, problem))
    return found


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
}


def _kwargs_problem(value: Any, n_elements: int) -> SequenceError | None:
    if not isinstance(value, Mapping):
        return SequenceError(f"kwargs is {value!r:.80}: it must be a mapping")
    for key, entry in value.items():
        problem = _swept_or(entry, _holds_numbers, f"kwargs {key}", "numbers or text")
        if problem:
            return problem
    return None


def _holds_numbers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_holds_numbers, value))
    return value is None or isinstance(value, (str, bool)) or is_number(value)


def _override_check(name: str) -> Callable[[Any, int], SequenceError | None]:
    good, rule = _OVERRIDE_RULES[name]
    return lambda value, n_elements: _swept_or(value, good, name, rule)


_CHECKS: dict[str, Callable[[Any, int], SequenceError | None]] = {
    "pulse": _pulse_problem,
    "element": _element_problem,
    "start": _name_problem,
    "end": _name_problem,
    "start_delay": _delay_problem,
    "end_delay": _delay_problem,
    "kwargs": _kwargs_problem,
    **{name: _override_check(name) for name in _OVERRIDE_RULES},
}
