"""The compiled program: unique envelopes and a table of which plays when.

A backend plays a `Program` as it is, like an instrument with numerically controlled oscillators: for
sample ``s = start + k``, ``k`` from 0 to n-1, a play adds to its output ::

    subchannel 0    Re(samples[offset + k] * exp(i*(2 pi freq s / sample_rate + phase)))
    subchannel >= 1 Re(samples[offset + k])

The dense array of all samples is drawn only when somebody asks for it (`Program.dense`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.library import PulseLibrary
from qtrl_spool.sequence.lists import groups_of

PLAY = np.dtype(
    [
        ("element", "i4"),
        ("channel", "i4"),
        ("subchannel", "i4"),
        ("start", "i8"),
        ("n", "i4"),
        ("offset", "i8"),
        ("freq", "f8"),
        ("phase", "f8"),
    ]
)
"""One play: element, output, first sample of the element, samples, place in `Program.samples`, Hz, rad."""

MAX_ARRAY_BYTES = 2**33
"""Largest dense array that is drawn."""


@dataclass(frozen=True, eq=False)
class Program:
    """What a backend plays.

    Attributes
    ----------
    sample_rate:
        In samples/s.
    n_elements, n_samples, n_channels, n_subchannels:
        Shape of what is played; every element has `n_samples`.
    samples:
        All distinct envelopes end to end, complex64 [sample].
    plays:
        Table of `PLAY`, sorted by element, start, channel, subchannel; `phase` is that of the envelope and
        the virtual Z so far.
    inputs:
        For each envelope, in the order of `samples`: name, number of samples and parameters.
    """

    sample_rate: float
    n_elements: int
    n_samples: int
    n_channels: int
    n_subchannels: int
    samples: NDArray[np.complex64]
    plays: NDArray[Any]
    inputs: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the dense array: [channel, element, sample, subchannel]."""
        return (self.n_channels, self.n_elements, self.n_samples, self.n_subchannels)

    @property
    def duration(self) -> float:
        """Length of an element in s."""
        return self.n_samples / self.sample_rate

    @cached_property
    def sha256(self) -> str:
        """Hash of the resolved inputs and the sample positions, the same on every machine."""
        digest = hashlib.sha256(b"qtrl-program/1")
        digest.update(repr((self.sample_rate, *self.shape)).encode())
        for entry in self.inputs:
            digest.update(repr(entry).encode())
        digest.update(np.ascontiguousarray(self.plays.astype(PLAY.newbyteorder("<"))).tobytes())
        return digest.hexdigest()

    def dense(self) -> NDArray[np.float32]:
        """Return all samples, float32 [channel, element, sample, subchannel]."""
        from qtrl_spool.sequence.render import render

        n_bytes = 4 * int(np.prod(self.shape, dtype=object))
        if n_bytes > MAX_ARRAY_BYTES:
            raise SequenceError(
                f"the dense array would take {n_bytes / 2**30:.1f} GiB, "
                f"more than {MAX_ARRAY_BYTES / 2**30:.0f}",
                hint="use the program, or one channel of one element at a time",
            )
        return render(self)

    def channel(self, element: int, channel: int, subchannel: int = 0) -> NDArray[np.float64]:
        """Return the samples of one output in one element, float64 [sample]."""
        from qtrl_spool.sequence.render import render_line

        return render_line(self, element, channel, subchannel)


def trigger_samples(program: Program, library: Any, key: str = "Readout/Trigger") -> NDArray[np.int64]:
    """Return when the digitizer is triggered: first samples [element, trigger], in order of time.

    Parameters
    ----------
    program:
        The compiled sequence.
    library:
        Pulses by key; where it has no `key`, or nothing plays on its output, there are no triggers.
    key:
        The trigger pulse; it is recognised by its channel and subchannel.
    """
    pulses = PulseLibrary.of(library)
    found: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * program.n_elements
    if key in pulses:
        marker = groups_of(pulses[key])[0][0]
        plays = program.plays
        on = (plays["channel"] == marker.channel) & (plays["subchannel"] == marker.subchannel)
        mine = plays[on]
        edges = np.searchsorted(mine["element"], np.arange(program.n_elements + 1))
        found = [np.unique(mine["start"][a:b]) for a, b in pairwise(edges)]
    counts = np.array([len(starts) for starts in found])
    if len(counts) and counts.min() != counts.max():
        few, many = int(counts.argmin()), int(counts.argmax())
        raise SequenceError(
            f"element {few} has {counts.min()} triggers, element {many} has {counts.max()}: "
            "every element needs the same number",
            hint="give every element its readout",
        )
    return np.array(found, np.int64).reshape(program.n_elements, -1)
