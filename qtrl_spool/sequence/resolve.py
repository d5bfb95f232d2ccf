"""From what was appended to components in samples, each distinct thing once.

A `Resolver` turns (pulse, overrides) into a row of a `Table`: the components with their lengths,
their places within the tick (right-aligned, counted in samples after overrides and rounding) and the
number of their envelope. Equal pulses share a row, equal envelopes a number.

`Resolver.row` raises a `SequenceError` that says everything that is wrong with one pulse; the caller
knows which append it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qtrl_spool.errors import SequenceError
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
"""Longest pulse that is accepted; far beyond any instrument, so it is a slip in the width."""

COLUMNS = ("virtual", "pre", "group", "n", "channel", "subchannel", "freq", "envelope", "phase")


@dataclass
class Table:
    """Resolved pulses as columns.

    Attributes
    ----------
    first, count:
        For each row: where its components begin in the component columns, and how many they are.
    total, tick, n_groups:
        For each row: samples of all its groups and of the first one (delays not counted), and groups.
    virtual, pre, group, n, channel, subchannel, freq, envelope, phase:
        For each component: whether it is a virtual Z; samples from the begin of the row (delays not
        counted); number of its group; samples; output; Hz; number of the envelope or -1; rad.
    envelopes:
        For each envelope: ``(env_func, kwargs, n_samples)``.
    """

    first: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    total: list[int] = field(default_factory=list)
    tick: list[int] = field(default_factory=list)
    n_groups: list[int] = field(default_factory=list)
    components: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    envelopes: list[tuple[str, Mapping[str, Any], int]] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)


def samples(width: float | None, sample_rate: float) -> int:
    """Return a time in s as a number of samples, ties to even."""
    return 0 if width is None else round(float(width) * sample_rate)


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
    """

    def __init__(
        self,
        groups: Callable[[Any], Groups],
        sample_rate: float,
        explain: Callable[[Any, str], str | None] = lambda pulse, text: None,
    ) -> None:
        self.table = Table()
        self.groups: dict[Any, Groups] = {}
        self._groups_of = groups
        self._rate = sample_rate
        self._explain = explain
        self._rows: dict[Any, int] = {}
        self._envelopes: dict[Any, int] = {}

    def row(self, pulse: Any, overrides: Mapping[str, Any] | None = None) -> int:
        """Return the row of `pulse` with `overrides`."""
        key = (pulse, frozen(overrides)) if overrides else pulse
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = self._add(pulse, overrides)
        return found

    def _add(self, pulse: Any, overrides: Mapping[str, Any] | None) -> int:
        groups = self.groups.get(pulse)
        if groups is None:
            groups = self.groups[pulse] = self._groups_of(pulse)
        if overrides:
            groups = tuple(tuple(with_overrides(part, overrides) for part in group) for group in groups)
        self._check(pulse, groups)
        table, first = self.table, len(self.table.components["n"])
        pre, ticks = 0, []
        for number, group in enumerate(groups):
            lengths = [samples(part.envelope.width, self._rate) for part in group]
            tick = max(lengths)
            for part, n in zip(group, lengths, strict=True):
                self._component(part, n, pre + tick - n, number)
            ticks.append(tick)
            pre += tick
        table.first.append(first)
        table.count.append(len(table.components["n"]) - first)
        table.total.append(pre)
        table.tick.append(ticks[0])
        table.n_groups.append(len(groups))
        return len(table.first) - 1

    def _component(self, part: Pulse, n: int, pre: int, group: int) -> None:
        envelope = part.envelope
        virtual = isinstance(envelope, VirtualEnvelope)
        row = {
            "virtual": virtual,
            "pre": pre,
            "group": group,
            "n": n,
            "channel": int(part.channel),
            "subchannel": int(part.subchannel),
            "freq": 0.0 if part.freq is None else float(part.freq),
            "envelope": -1 if isinstance(envelope, VirtualEnvelope) else self._envelope(envelope, n),
            "phase": float(envelope.phase) if isinstance(envelope, VirtualEnvelope) else 0.0,
        }
        for name, column in self.table.components.items():
            column.append(row[name])

    def _envelope(self, envelope: PulseEnvelope, n: int) -> int:
        key = (envelope.env_func, n, frozen(envelope.kwargs))
        number = self._envelopes.get(key)
        if number is None:
            number = self._envelopes[key] = len(self.table.envelopes)
            self.table.envelopes.append((envelope.env_func, envelope.kwargs, n))
            self.table.keys.append(key)
        return number

    def _check(self, pulse: Any, groups: Groups) -> None:
        sentences = dict.fromkeys(
            self._explained(pulse, sentence)
            for group in groups
            for part in group
            for sentence in field_problems(part)
        )
        if not sentences:
            longest = (
                max(float(part.envelope.width or 0.0) for group in groups for part in group) * self._rate
            )
            if longest <= MAX_PULSE_SAMPLES:
                return
            sentences = {f"it lasts {longest:.3g} samples, more than {MAX_PULSE_SAMPLES}": None}
        name = f"pulse {pulse!r}" if isinstance(pulse, str) else "pulse"
        raise SequenceError(f"{name}: {'; '.join(sentences)}")

    def _explained(self, pulse: Any, sentence: str) -> str:
        if " is the text '" not in sentence and "there is no envelope '" not in sentence:
            return sentence
        more = self._explain(pulse, sentence.split("'")[1])
        return f"{sentence} ({more})" if more else sentence
