"""The record of appends: what `Sequence` and `SequenceWrapper` have in common.

An append only writes down what was asked, in columns (less than a microsecond), and hands out names of
references; nothing is resolved or placed before `compile`. Names are deterministic: append number
``i`` (from 0) makes ``ref<i+1>``.

What the caller passes is copied if it can change, so a list altered after the append has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.kinds import ATOMS, detached, is_index, is_number
from qtrl_spool.sequence.pulse import OVERRIDES
from qtrl_spool.sequence.sweep import Elements, is_swept, spelled, spelled_elements, values_of
from qtrl_spool.sequence.x_axis import Axis

START = "Start"
BY_START, BY_END, SWEEPS = 1, 2, 4
"""Bits of `Record.given`."""

DEFAULT_SAMPLE_RATE = 1e9
MAX_ELEMENTS = 1_000_000
NO_DELAY = 0
"""The default delay; compared by identity, so that an append without delays is quick."""


class Record(NamedTuple):
    """One append.

    ``start`` and ``end`` are names; ``given`` says which of them the caller named (`BY_START`,
    `BY_END`) and whether the append sweeps (`SWEEPS`). ``element`` is None for all elements, an int, a
    slice, a tuple of ints or `Elements`. Delays are in s, or a form that sweeps.
    """

    pulse: Any
    element: Any
    start: str
    end: str
    start_delay: Any
    end_delay: Any
    overrides: Mapping[str, Any] | None
    given: int


class Extra(NamedTuple):
    """What few appends have: delays in s, overrides, and the `given` of a `Record`."""

    start_delay: Any
    end_delay: Any
    overrides: Mapping[str, Any] | None
    given: int


NO_EXTRA = Extra(0, 0, None, 0)


@dataclass
class Columns:
    """All appends, a list for each field; `extra` by number of the append, where there is any."""

    pulses: list[Any] = field(default_factory=list)
    elements: list[Any] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    extra: dict[int, Extra] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Record:
        """Return append number `index` as a whole."""
        extra = self.extra.get(index, NO_EXTRA)
        names = (self.starts[index], self.ends[index])
        return Record(self.pulses[index], self.elements[index], *names, *extra)

    def __iter__(self) -> Iterator[Record]:
        return map(self.__getitem__, range(len(self)))

    def copy(self) -> Columns:
        """Return columns that can grow on their own."""
        return Columns(
            self.pulses.copy(), self.elements.copy(), self.starts.copy(), self.ends.copy(), self.extra.copy()
        )


def element_of(element: Any) -> Any:
    """Return `element` in the form of `Record.element`; what is none of them stays as it is."""
    if element is None or isinstance(element, (int, slice)):
        return element
    if is_index(element):
        return int(element)
    if is_swept(element):
        form, numbers = next(iter(element.items()))
        return Elements(form, tuple(numbers)) if isinstance(numbers, (list, tuple)) else element
    if isinstance(element, Mapping) and set(element) == {"slice"}:
        parts = element["slice"]
        return slice(*parts) if isinstance(parts, (list, tuple)) and 1 <= len(parts) <= 3 else element
    if isinstance(element, np.ndarray):
        return tuple(element.ravel().tolist())
    if isinstance(element, (list, tuple, range)):
        return tuple(entry.item() if isinstance(entry, np.generic) else entry for entry in element)
    return element


def _sweeps(overrides: Mapping[str, Any]) -> bool:
    inner = overrides.get("kwargs")
    return any(map(is_swept, overrides.values())) or (
        isinstance(inner, Mapping) and any(map(is_swept, inner.values()))
    )


class Recorder:
    """What can be appended to.

    Parameters
    ----------
    n_elements:
        Number of elements.
    sample_rate:
        In samples/s.
    x_axis:
        None for 0, 1, …; a number for the step; a list, tuple or array for the values; or
        ``{name, unit, values}``.
    name:
        Name of the sequence.
    """

    def __init__(
        self,
        n_elements: int,
        sample_rate: float = DEFAULT_SAMPLE_RATE,
        x_axis: Any = None,
        name: str = "sequence",
    ) -> None:
        if not is_index(n_elements) or n_elements < 1:
            raise SequenceError(f"n_elements is {n_elements!r}: it must be an integer from 1")
        if n_elements > MAX_ELEMENTS:
            raise SequenceError(f"n_elements is {n_elements}: it must be at most {MAX_ELEMENTS}")
        if not is_number(sample_rate) or not sample_rate > 0:
            raise SequenceError(f"sample_rate is {sample_rate!r}: it must be a positive number of samples/s")
        self.n_elements = int(n_elements)
        self.sample_rate = float(sample_rate)
        self.name = str(name)
        self._axis = Axis.of(x_axis, self.n_elements)
        self._columns = Columns()

    @property
    def x_axis(self) -> NDArray[np.float64]:
        """X values [element]."""
        return self._axis.values

    @property
    def x_axis_name(self) -> str | None:
        """What the x axis shows, if it was said."""
        return self._axis.name

    @property
    def rows(self) -> tuple[str, str, NDArray[np.float64]] | None:
        """Name, unit and values of the slow axis of a two-dimensional sweep; None if it is none."""
        given = self._axis.given
        rows = given.get("rows") if isinstance(given, Mapping) else None
        if rows is None:
            return None
        values = np.asarray(values_of(rows["values"]) if is_swept(rows["values"]) else rows["values"], float)
        return rows.get("name") or "row", rows.get("unit") or "", values

    @property
    def x_axis_unit(self) -> str | None:
        """Unit of the x axis, if it was said."""
        return self._axis.unit

    def __len__(self) -> int:
        return len(self._columns.ends)

    def append(
        self,
        pulse: Any,
        element: Any = None,
        start: str | None = None,
        end: str | None = None,
        start_delay: Any = NO_DELAY,
        end_delay: Any = NO_DELAY,
        **overrides: Any,
    ) -> tuple[str, str]:
        """Append a pulse, ``start --start_delay-- [pulse] --end_delay-- end``.

        Parameters
        ----------
        pulse:
            What to play; a list of composite pulses plays them in succession.
        element:
            Elements that play it: None for all, an int, a slice, a list or array of ints.
        start, end:
            Names of references. Neither: it starts at ``'Start'``.
        start_delay, end_delay:
            In s.
        **overrides:
            Fields of the pulse to replace: freq (Hz), channel, subchannel, width (s), env_func, phase
            (rad, virtual pulses), kwargs (merged).

        Returns
        -------
        start, end:
            Names of the references between which it lies.
        """
        if pulse.__class__ is not str:
            pulse = self._stored(pulse)
        if element.__class__ is not int:
            element = element_of(element)
        columns = self._columns
        index = len(columns.ends)
        made = f"ref{index + 1}"
        if overrides or end is not None or start_delay is not NO_DELAY or end_delay is not NO_DELAY:
            columns.extra[index] = self._extra(start, end, start_delay, end_delay, overrides)
        columns.pulses.append(pulse)
        columns.elements.append(element)
        if end is None:
            start = START if start is None else start
            columns.starts.append(start)
            columns.ends.append(made)
            return start, made
        columns.starts.append(made if start is None else start)
        columns.ends.append(end)
        if self._is_succession(pulse):
            end = f"{made}.end" if start is None else made
        return columns.starts[index], end

    def _extra(
        self, start: Any, end: Any, start_delay: Any, end_delay: Any, overrides: Mapping[str, Any]
    ) -> Extra:
        given = BY_START * (start is not None) + BY_END * (end is not None)
        kept = self._overrides(overrides) if overrides else None
        if start_delay.__class__ in ATOMS and end_delay.__class__ in ATOMS:
            before, after = start_delay, end_delay
        else:
            before, after = detached(start_delay), detached(end_delay)
            given += SWEEPS * (is_swept(before) or is_swept(after))
        if kept and not given & SWEEPS and _sweeps(kept):
            given += SWEEPS
        return Extra(before, after, kept, given)

    def sweep(
        self,
        pulse: Any,
        element: Any = None,
        start: str | None = None,
        end: str | None = None,
        start_delay: Any = 0,
        end_delay: Any = 0,
        **overrides: Any,
    ) -> tuple[str, str]:
        """Append a pulse once for each element, with values of its own.

        Means the same as one append per element; the references it returns have one place per element.

        Parameters
        ----------
        pulse, start, end:
            As in `append`.
        element:
            The elements, a range or list; None for all.
        start_delay, end_delay, **overrides:
            As in `append`; an array, list or range of as many values as there are elements is swept.
            Within ``kwargs`` only arrays are (a list there is a product or a sum).
        """
        if not isinstance(element, Mapping):
            element = spelled_elements(range(self.n_elements) if element is None else np.atleast_1d(element))
        swept = {name: _column(value) for name, value in overrides.items() if name != "kwargs"}
        if isinstance(overrides.get("kwargs"), Mapping):
            swept["kwargs"] = {key: _inner_column(key, value) for key, value in overrides["kwargs"].items()}
        elif "kwargs" in overrides:
            swept["kwargs"] = overrides["kwargs"]
        return self.append(pulse, element, start, end, _column(start_delay), _column(end_delay), **swept)

    def _stored(self, pulse: Any) -> Any:
        """Return `pulse` as it is kept in the record: hashable, and nobody else's."""
        raise NotImplementedError

    def _is_succession(self, pulse: Any) -> bool:
        """Whether a stored pulse is, or may be, several groups in succession."""
        raise NotImplementedError

    def _overrides(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        for name in overrides:
            if name not in OVERRIDES:
                raise unknown_override(name, len(self))
        return {name: detached(value) for name, value in overrides.items()}


def unknown_override(name: str, index: int) -> SequenceError:
    """Return the error for a keyword of append number `index` that no pulse has."""
    words = ("pulse", "element", "start", "end", "start_delay", "end_delay", *sorted(OVERRIDES))
    hint = did_you_mean(name, words)
    if name in ("amplitude", "alpha", "sigmas", "frequency", "points"):
        hint = f"say kwargs={{{name!r}: …}}"
    return SequenceError(f"a pulse has no field {name!r}", where=f"append {index}", hint=hint)


def _column(value: Any) -> Any:
    return spelled(value) if isinstance(value, (list, tuple, range, np.ndarray)) else value


def _inner_column(key: str, value: Any) -> Any:
    swept = isinstance(value, np.ndarray) and value.ndim == (2 if key == "points" else 1)
    return spelled(value) if swept else value
