"""``job.yaml``, the manifest of a job: what its author wants done with it.

`Manifest` is frozen and checked when it is made, so that one which exists is right. Unknown keys
are refused with the nearest known one; null means as if the key were not there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from qtrl_spool.bundle.names import shown
from qtrl_spool.errors import ManifestError, did_you_mean
from qtrl_spool.job import is_id, utc

FORMAT = "qtrl-job/1"

_LONGEST_LINE, _LONGEST_NOTES, _MOST_TAGS, _MOST_AFTER = 200, 65_536, 100, 100
_SECONDS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0}
_SECONDS |= {"h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}
_PART = r"(\d+(?:\.\d+)?)\s*([a-z]+)"


@dataclass(frozen=True)
class Manifest:
    """What ``job.yaml`` says; every key may be missing.

    Attributes
    ----------
    name:
        Of the job; None: the sequence's, else the file's.
    user:
        A label; who the job belongs to is the owner of the file.
    tags, notes:
        For whoever looks for it later.
    n_reps, n_batches:
        Repetitions and batches; None: the configuration's.
    config_version:
        Version of the default configuration: ``latest`` when it runs, ``submitted``, or a number.
    on_interrupt:
        ``requeue`` or ``fail``, when the server died in its midst.
    hold:
        Accept it, but wait for a release.
    clip:
        Limit amplitudes beyond full scale instead of refusing them.
    retries:
        How often it is started again after the backend failed.
    max_duration:
        In s; None: no limit. May be given as ``10 min``.
    instrument:
        The server that shall run it; None: any.
    after:
        Ids of jobs that must have come to their end before, whichever end.
    not_before:
        It does not run before that time: UTC, ISO 8601. Given as a text with its zone, or as a `datetime`.
    processing:
        False keeps the IQ points only.
    """

    name: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    n_reps: int | None = None
    n_batches: int | None = None
    config_version: int | str = "latest"
    on_interrupt: str = "requeue"
    hold: bool = False
    clip: bool = False
    retries: int = 0
    max_duration: float | None = None
    instrument: str | None = None
    after: tuple[str, ...] = ()
    not_before: str | None = None
    processing: bool = True

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default or isinstance(value, bool) != isinstance(each.default, bool):
                object.__setattr__(self, each.name, _checked(each.name, value, "manifest"))

    @classmethod
    def from_dict(cls, tree: object, where: str = "job.yaml") -> Manifest:
        """Return the manifest that `tree` says; None is an empty one.

        Raises
        ------
        ManifestError
            For an unknown key, a newer format, a value of the wrong type or range.
        """
        if tree is None:
            return cls()
        if not isinstance(tree, Mapping):
            raise ManifestError(f"the manifest must be a mapping, not {shown(tree)}", where=where)
        known = [each.name for each in fields(cls)]
        for key in tree:
            if key not in (*known, "format"):
                hint = did_you_mean(str(key), known) or f"there are {', '.join(known)}"
                raise ManifestError(f"unknown key {shown(key)}", where=where, hint=hint)
        _check_format(tree.get("format"), where)
        given = {key: tree[key] for key in known if tree.get(key) is not None}
        return cls(**{key: _checked(key, value, where) for key, value in given.items()})

    def changed(self, changes: Mapping[str, Any]) -> Manifest:
        """Return this manifest with other values; None leaves what it says.

        Raises
        ------
        ManifestError
            For an unknown key, a value of the wrong type or range.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        return Manifest.from_dict({**self.to_dict(), **given}) if given else self

    def to_dict(self) -> dict[str, Any]:
        """Return what ``job.yaml`` must say to be read as this manifest: its format and no defaults."""
        tree: dict[str, Any] = {"format": FORMAT}
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                tree[each.name] = list(value) if isinstance(value, tuple) else value
        return tree


def seconds(value: object) -> float | None:
    """Return a duration in s, given as a number of seconds or as ``10 min``, ``1 h 30 min``; else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value < math.inf else None
    if not isinstance(value, str) or len(value) > _LONGEST_LINE:
        return None
    if not re.fullmatch(rf"\s*(?:{_PART}\s*)+", value):
        return None
    total = 0.0
    for number, unit in re.findall(_PART, value):
        factor = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s"))
        if factor is None:
            return None
        total += float(number) * factor
    return total if 0 < total < math.inf else None


def _check_format(value: object, where: str) -> None:
    if value is None or value == FORMAT:
        return
    newer = isinstance(value, str) and re.fullmatch(r"qtrl-job/[0-9]{1,9}", value)
    remedy = f"it needs a qtrl-spool that reads {value}" if newer else f"write format: {FORMAT}"
    raise ManifestError(f"format is {shown(value)}, this qtrl-spool reads {FORMAT}", where=where, hint=remedy)


def _line(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_LINE and value.isprintable():
        return value
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NOTES and "\0" not in value else None


def _tags(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list | tuple) or len(value) > _MOST_TAGS:
        return None
    return tuple(value) if all(_line(each) for each in value) else None


def _ids(value: object) -> tuple[str, ...] | None:
    named = (value,) if isinstance(value, str) else value
    if not isinstance(named, list | tuple) or len(named) > _MOST_AFTER:
        return None
    return (
        tuple(dict.fromkeys(named)) if all(isinstance(each, str) and is_id(each) for each in named) else None
    )


def _time(value: object) -> str | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        return utc(time) if isinstance(time, datetime) and time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _whole(low: int, high: int) -> Callable[[object], int | None]:
    def check(value: object) -> int | None:
        is_int = isinstance(value, int) and not isinstance(value, bool)
        return value if is_int and low <= value <= high else None  # type: ignore[operator,return-value]

    return check


def _version(value: object) -> int | str | None:
    return value if isinstance(value, str) and value in {"latest", "submitted"} else _whole(1, 10**9)(value)


def _interrupt(value: object) -> str | None:
    return value if isinstance(value, str) and value in {"requeue", "fail"} else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_ONE_LINE = (_line, f"one line of text of at most {_LONGEST_LINE} characters (a number needs quotes)")
_COUNT = (_whole(1, 10**9), "a whole number from 1 to 1000000000")
_YES_NO = (_flag, "true or false")
_RULES: Mapping[str, tuple[Callable[[object], Any], str]] = {
    "name": _ONE_LINE,
    "user": _ONE_LINE,
    "tags": (_tags, f"a list of at most {_MOST_TAGS} texts, such as [calibration, Q6]"),
    "notes": (_text, f"text of at most {_LONGEST_NOTES} characters"),
    "n_reps": _COUNT,
    "n_batches": _COUNT,
    "config_version": (_version, "latest, submitted, or the number of a version"),
    "on_interrupt": (_interrupt, "requeue or fail"),
    "hold": _YES_NO,
    "clip": _YES_NO,
    "retries": (_whole(0, 100), "a whole number from 0 to 100"),
    "max_duration": (seconds, "a number of seconds above 0, or a text such as '10 min'"),
    "instrument": _ONE_LINE,
    "after": (
        _ids,
        f"the full id of a job, or a list of at most {_MOST_AFTER}; 'submit --after' expands parts",
    ),
    "not_before": (
        _time,
        "a time with its zone, such as 2026-11-23T18:00:00+01:00; 'submit --not-before 18:00' is local time",
    ),
    "processing": _YES_NO,
}


def _checked(key: str, value: object, where: str) -> Any:
    check, rule = _RULES[key]
    result = check(value)
    if result is None:
        raise ManifestError(f"{key} is {shown(value)}", where=where, hint=f"it must be {rule}")
    return result
