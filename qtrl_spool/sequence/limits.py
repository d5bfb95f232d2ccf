"""What an instrument cannot play: more than full scale, longer than its memory.

Both are asked of a compiled program and come back as data. `Sequence.compile` only warns of
amplitudes; ``check`` and the server refuse them, with `amplitude_problems`, unless the job says ``clip``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.program import Program
from qtrl_spool.sequence.render import render_line

FULL_SCALE = 1.0
TOLERANCE = 5e-7
"""Wanted accuracy of samples, in full scale: what is less above it is no violation."""


class FullScaleWarning(UserWarning):
    """Something in a sequence is beyond full scale and would be clipped."""


@dataclass(frozen=True)
class Violation:
    """The worst sample beyond full scale on one channel in one element.

    Attributes
    ----------
    channel, element, sample:
        Where.
    time:
        When, in s from the first sample.
    value:
        The sample, in full scale.
    """

    channel: int
    element: int
    sample: int
    time: float
    value: float

    def __str__(self) -> str:
        return (
            f"channel {self.channel}, element {self.element}, {self.time * 1e6:.3f} us: "
            f"{self.value:+.4g} of full scale"
        )


def amplitude_violations(program: Program) -> tuple[Violation, ...]:
    """Return where the sum of the pulses is beyond full scale, the worst sample of each line."""
    violations = []
    for element, channel in _suspect_lines(program):
        line = render_line(program, element, channel)
        worst = int(np.abs(line).argmax())
        if abs(line[worst]) > FULL_SCALE + TOLERANCE:
            violations.append(
                Violation(channel, element, worst, worst / program.sample_rate, float(line[worst]))
            )
    return tuple(violations)


def _suspect_lines(program: Program) -> list[tuple[int, int]]:
    """Return (element, channel) where the peaks of overlapping plays add up to more than full scale."""
    plays = program.plays
    if not len(plays):
        return []
    peaks = _peaks(program)
    peaks[plays["subchannel"] > 0] = 0.0
    line = plays["element"].astype(np.int64) * program.n_channels + plays["channel"]
    order = np.argsort(line.astype(np.uint16) if line.max() < 2**16 else line, kind="stable")
    begin = line[order] * (program.n_samples + 1) + plays["start"][order]
    end = begin + plays["n"][order]
    late = begin[1:] < np.maximum.accumulate(end)[:-1]
    busy = (
        np.isin(line[order], np.unique(line[order][1:][late])) if late.any() else np.zeros(len(order), bool)
    )
    loud = peaks[order] > FULL_SCALE + TOLERANCE
    loud[busy] |= _sums(begin[busy], end[busy], peaks[order][busy]) > FULL_SCALE + TOLERANCE
    lines = np.unique(line[order][loud])
    return [divmod(int(number), program.n_channels) for number in lines]


def _peaks(program: Program) -> NDArray[np.float64]:
    """Return the largest absolute sample of each play's envelope, counted from its first sample on."""
    plays, size = program.plays, np.abs(program.samples)
    ends = np.zeros(len(size), np.int64)
    np.maximum.at(ends, plays["offset"], plays["offset"] + plays["n"])
    peaks = np.zeros(len(size))
    for offset in np.flatnonzero(ends):
        peaks[offset] = size[offset : ends[offset]].max()
    found: NDArray[np.float64] = peaks[plays["offset"]]
    return found


def _sums(
    begin: NDArray[np.int64], end: NDArray[np.int64], peaks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for each play the sum of the peaks that sound when it begins, its own included."""
    order = np.argsort(end, kind="stable")
    started = np.concatenate(([0.0], np.cumsum(peaks)))
    ended = np.concatenate(([0.0], np.cumsum(peaks[order])))
    sums: NDArray[np.float64] = (
        started[np.searchsorted(begin, begin, side="right")]
        - ended[np.searchsorted(end[order], begin, side="right")]
    )
    return sums


def tell(violations: tuple[Violation, ...], n_shown: int = 3) -> str:
    """Return a sentence about `violations`."""
    shown = "; ".join(map(str, violations[:n_shown]))
    more = f"; and {len(violations) - n_shown} more" if len(violations) > n_shown else ""
    return f"beyond full scale: {shown}{more}"


def amplitude_problems(program: Program) -> tuple[SequenceError, ...]:
    """Return an error for each channel and element that goes beyond full scale."""
    return tuple(
        SequenceError(
            f"beyond full scale: {violation}",
            hint="lower the amplitudes, or let the job say `clip: true`",
        )
        for violation in amplitude_violations(program)
    )


def memory_problems(program: Program, max_samples: int) -> tuple[SequenceError, ...]:
    """Return an error if an element has more than the `max_samples` that a channel's memory holds."""
    if program.n_samples <= max_samples:
        return ()
    return (
        SequenceError(
            f"an element lasts {program.n_samples} samples ({program.duration * 1e6:.3f} us), "
            f"the instrument's memory holds {max_samples}",
            hint="shorten the longest element",
        ),
    )
