"""From what was appended to components in samples, each distinct thing once.

A `Resolver` turns (pulse, overrides) into a row of a `Table`: the components with their lengths,
their places within the tick (right-aligned, counted in samples after overrides and rounding) and the
number of their envelope. Equal pulses share a row, equal envelopes a number; on analog outputs the phase
of an envelope is its carrier's, so that I and Q, X and Y share their samples.

`Resolver.row` raises a `SequenceError` that says everything that is wrong with one pulse; the caller
knows which append it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.envelopes import envelope_problems, unturned
from qtrl_spool.sequence.lists import Groups
from qtrl_spool.sequence.pulse import (
    Pulse,
    PulseEnvelope,
    VirtualEnvelope,
    field_problems,
    frozen,
    with_overrides,
)

MAX_PULSE_SAMPLES = 2**27
"""Longest pulse that is accepted where no instrument's memory is given: more is a slip in the width."""

NO_ENVELOPE = -1
_WIDTH_ONLY = {"width"}


class Component(NamedTuple):
    """One component of a resolved pulse.

    Attributes
    ----------
    virtual:
        Whether it is a virtual Z.
    pre:
        Samples from the begin of the row to its own, delays not counted.
    group:
        Number of its group.
    n:
        Samples.
    channel, subchannel:
        Output.
    freq:
        Hz.
    envelope:
        Number of the envelope, or `NO_ENVELOPE`.
    phase:
        Of a virtual Z, or of an analog envelope: that of its carrier, so that I and Q share samples, rad.
    """

    virtual: bool
    pre: int
    group: int
    n: int
    channel: int
    subchannel: int
    freq: float
    envelope: int
    phase: float


class Known(NamedTuple):
    """What was found out about the parameters of an envelope.

    Attributes
    ----------
    kwargs, key:
        As they are, and the same as a hashable.
    unturned, unturned_key, phase:
        Without the phase, the same as a hashable, and the phase in rad.
    problems:
        What is wrong with them; the rest is empty then.
    """

    kwargs: Mapping[str, Any]
    key: Any
    unturned: Mapping[str, Any] = MappingProxyType({})
    unturned_key: Any = ()
    phase: float = 0.0
    problems: tuple[str, ...] = ()

    @staticmethod
    def of(envelope: PulseEnvelope) -> Known:
        """Look at the parameters of an envelope."""
        env_func, kwargs = envelope.env_func, envelope.kwargs
        problems = tuple(envelope_problems(env_func, kwargs))
        if problems:
            return Known(kwargs, (), problems=problems)
        rest, phase = unturned(env_func, kwargs)
        return Known(kwargs, frozen(kwargs), rest, frozen(rest), phase)


@dataclass
class Table:
    """Resolved pulses as columns.

    Attributes
    ----------
    first, count:
        For each row: where its components begin among all, and how many they are.
    total, tick, n_groups:
        For each row: samples of all its groups and of the first one (delays not counted), and groups.
    components:
        Those of all rows.
    envelopes:
        For each envelope: ``(env_func, kwargs, n_samples)``.
    keys:
        For each envelope: the same as a hashable value.
    """

    first: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    total: list[int] = field(default_factory=list)
    tick: list[int] = field(default_factory=list)
    n_groups: list[int] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    envelopes: list[tuple[str, Mapping[str, Any], int]] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)


class Resolver:
    """Resolves each distinct (pulse, overrides) once.

    Parameters
    ----------
    groups:
        Gives the groups of components that a stored pulse stands for.
    sample_rate:
        In samples/s.
    explain:
        Says more about a text that stands where a number should, given the stored pulse and the text.
    max_samples:
        Longest pulse that is accepted.
    """

    def __init__(
        self,
        groups: Callable[[Any], Groups],
        sample_rate: float,
        explain: Callable[[Any, str], str | None] = lambda pulse, text: None,
        max_samples: int = MAX_PULSE_SAMPLES,
    ) -> None:
        self.table = Table()
        self.groups: dict[Any, Groups] = {}
        self._groups_of = groups
        self._rate = sample_rate
        self._explain = explain
        self._max_samples = min(max_samples, MAX_PULSE_SAMPLES)
        self._rows: dict[Any, int] = {}
        self._unsound: set[Any] = set()
        self._envelopes: dict[Any, int] = {}
        self._kwargs: dict[tuple[str, int], Known] = {}

    def row(self, pulse: Any, overrides: Mapping[str, Any] | None = None) -> int:
        """Return the row of `pulse` with `overrides`."""
        key = (pulse, frozen(overrides)) if overrides else pulse
        found = self._rows.get(key)
        if found is None and overrides and overrides.keys() == _WIDTH_ONLY:
            found = self._widened(pulse, overrides["width"])
        if found is None:
            found = self._add(pulse, overrides)
        self._rows[key] = found
        return found

    def _widened(self, pulse: Any, width: Any) -> int | None:
        """Return the row of `pulse` with another width in s: the commonest sweep, so it has a short way.

        None if it must go the long way.
        """
        if type(width) is not float or not 0 <= width * self._rate <= self._max_samples:
            return None
        like = self._sound(pulse)
        if like is None:
            return None
        table, n = self.table, round(width * self._rate)
        first = len(table.components)
        for part in table.components[table.first[like] : table.first[like] + table.count[like]]:
            envelope = part.envelope
            if envelope != NO_ENVELOPE:
                env_func, kwargs, _ = table.envelopes[envelope]
                envelope = self._number((env_func, n, table.keys[envelope][2]), kwargs)
            table.components.append(part._replace(n=n, pre=part.group * n, envelope=envelope))
        self._row_of(first, [n] * table.n_groups[like])
        return len(table.first) - 1

    def _sound(self, pulse: Any) -> int | None:
        """Return the row of `pulse` as it is stored, None if it cannot be played so."""
        if pulse not in self._rows and pulse not in self._unsound:
            try:
                self._rows[pulse] = self._add(pulse, None)
            except SequenceError:
                self._unsound.add(pulse)
        return self._rows.get(pulse)

    def _row_of(self, first: int, ticks: list[int]) -> None:
        """Add the row of the components from number `first` on, whose groups have `ticks` samples."""
        table = self.table
        table.first.append(first)
        table.count.append(len(table.components) - first)
        table.total.append(sum(ticks))
        table.tick.append(ticks[0])
        table.n_groups.append(len(ticks))

    def _add(self, pulse: Any, overrides: Mapping[str, Any] | None) -> int:
        groups = self.groups.get(pulse)
        if groups is None:
            groups = self.groups[pulse] = self._groups_of(pulse)
        if overrides:
            groups = tuple(tuple(with_overrides(part, overrides) for part in group) for group in groups)
        self._check(pulse, groups)
        table, first = self.table, len(self.table.components)
        pre, ticks = 0, []
        for number, group in enumerate(groups):
            lengths = [round(float(part.envelope.width or 0.0) * self._rate) for part in group]
            tick = max(lengths)
            for part, n in zip(group, lengths, strict=True):
                table.components.append(self._component(part, n, pre + tick - n, number))
            ticks.append(tick)
            pre += tick
        self._row_of(first, ticks)
        return len(table.first) - 1

    def _component(self, part: Pulse, n: int, pre: int, group: int) -> Component:
        envelope = part.envelope
        freq = 0.0 if part.freq is None else float(part.freq)
        output = (int(part.channel), int(part.subchannel))
        if isinstance(envelope, VirtualEnvelope):
            return Component(True, pre, group, n, *output, freq, NO_ENVELOPE, float(envelope.phase))
        known = self._known(envelope)
        kept, key, phase = (known.kwargs, known.key, 0.0) if part.subchannel else known[2:5]
        number = self._number((envelope.env_func, n, key), kept)
        return Component(False, pre, group, n, *output, freq, number, phase)

    def _number(self, key: Any, kwargs: Mapping[str, Any]) -> int:
        number = self._envelopes.get(key)
        if number is None:
            number = self._envelopes[key] = len(self.table.envelopes)
            self.table.envelopes.append((key[0], kwargs, key[1]))
            self.table.keys.append(key)
        return number

    def _known(self, envelope: PulseEnvelope) -> Known:
        place = (str(envelope.env_func), id(envelope.kwargs))
        found = self._kwargs.get(place)
        if found is None:
            found = self._kwargs[place] = Known.of(envelope)
        return found

    def _check(self, pulse: Any, groups: Groups) -> None:
        sentences: dict[str, None] = {}
        longest = 0.0
        for group in groups:
            for part in group:
                found = [*field_problems(part)]
                if isinstance(part.envelope, PulseEnvelope):
                    found += self._known(part.envelope).problems
                if found:
                    sentences.update(dict.fromkeys(self._explained(pulse, sentence) for sentence in found))
                elif part.envelope.width:
                    longest = max(longest, float(part.envelope.width) * self._rate)
        if not sentences and longest > self._max_samples:
            width = f"it lasts {longest:.3g} samples ({longest / self._rate:.3g} s)"
            sentences[f"{width}, the memory holds {self._max_samples}"] = None
        if sentences:
            name = f"pulse {pulse!r}" if isinstance(pulse, str) else "pulse"
            raise SequenceError(f"{name}: {'; '.join(sentences)}")

    def _explained(self, pulse: Any, sentence: str) -> str:
        if " is the text '" not in sentence and "there is no envelope '" not in sentence:
            return sentence
        more = self._explain(pulse, sentence.split("'")[1])
        return f"{sentence} ({more})" if more else sentence
