"""What an instrument cannot play: more than full scale, longer than its memory.

Both are asked of a compiled program and come back as data. `Sequence.compile` only warns of
amplitudes; ``check`` and the server refuse them, with `amplitude_problems`, unless the job says ``clip``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    plays = program.plays[program.plays["subchannel"] == 0]
    if not len(plays):
        return []
    offsets, which = np.unique(plays["offset"], return_inverse=True)
    ends = np.zeros(len(offsets), np.int64)
    np.maximum.at(ends, which, plays["offset"] + plays["n"])
    peaks = np.array([np.abs(program.samples[a:b]).max() for a, b in zip(offsets, ends, strict=True)])[which]
    if peaks.max() <= FULL_SCALE and _sums(program, plays, peaks).max() <= FULL_SCALE + TOLERANCE:
        return []
    sums = _sums(program, plays, peaks)
    loud = plays[sums > FULL_SCALE + TOLERANCE]
    return sorted(set(zip(loud["element"].tolist(), loud["channel"].tolist(), strict=True)))


def _sums(program: Program, plays: np.ndarray, peaks: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Return for each play the sum of the peaks that sound when it begins, its own included."""
    line = plays["element"].astype(np.int64) * program.n_channels + plays["channel"]
    begin = line * (program.n_samples + 1) + plays["start"]
    order = np.argsort(begin, kind="stable")
    begins, ends = begin[order], np.sort(begin + plays["n"])
    started = np.concatenate(([0.0], np.cumsum(peaks[order])))
    ended = np.concatenate(([0.0], np.cumsum(peaks[np.argsort(begin + plays["n"], kind="stable")])))
    upto = np.searchsorted(begins, begin, side="right")
    over = np.searchsorted(ends, begin, side="right")
    sums: np.ndarray = started[upto] - ended[over]  # type: ignore[type-arg]
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
