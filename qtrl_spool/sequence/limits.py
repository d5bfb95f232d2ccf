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


_BLOCK = 2**17


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
    """Return (element, channel) where the peaks of overlapping plays may add up to more than full scale."""
    plays = program.plays
    analog = np.flatnonzero(plays["subchannel"] == 0)
    if not len(analog):
        return []
    line = plays["element"][analog].astype(np.int64) * program.n_channels + plays["channel"][analog]
    order = np.argsort(line.astype(np.uint16) if line.max() < 2**16 else line, kind="stable")
    line, which = line[order], analog[order]
    begin = line * (program.n_samples + 1) + plays["start"][which]
    end = begin + plays["n"][which]
    late = begin[1:] < np.maximum.accumulate(end)[:-1]
    if not late.any() and not _is_loud(program.samples):
        return []
    peaks = _peaks(program)[which]
    loud = peaks > FULL_SCALE + TOLERANCE
    if late.any():
        busy = np.isin(line, np.unique(line[1:][late]))
        loud[busy] |= _sums(begin[busy], end[busy], peaks[busy]) > FULL_SCALE + TOLERANCE
    return [divmod(int(number), program.n_channels) for number in np.unique(line[loud])]


def _is_loud(samples: NDArray[np.complex64]) -> bool:
    """Whether any sample alone is beyond full scale."""
    parts = samples.view(np.float32)
    for first in range(0, len(parts), _BLOCK):
        with np.errstate(over="ignore"):
            squares = np.square(parts[first : first + _BLOCK])
        if (squares[::2] + squares[1::2]).max() > (FULL_SCALE + TOLERANCE) ** 2:
            return True
    return False


def _peaks(program: Program) -> NDArray[np.float64]:
    """Return the largest absolute sample of the envelope of each play, an upper bound."""
    offset, n = program.plays["offset"], program.plays["n"]
    ends = np.zeros(len(program.samples), np.int64)
    np.maximum.at(ends, offset, offset + n)
    peaks = np.zeros(len(ends))
    for begin in np.flatnonzero(ends).tolist():
        peaks[begin] = np.abs(program.samples[begin : ends[begin]]).max()
    found: NDArray[np.float64] = peaks[offset]
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
    return (length_problem(program.n_samples, program.sample_rate, max_samples),)


def length_problem(n_samples: int, sample_rate: float, max_samples: int) -> SequenceError:
    """Return the error for an element of `n_samples`, more than the `max_samples` of the memory."""
    return SequenceError(
        f"an element lasts {n_samples} samples ({n_samples / sample_rate:.6g} s), "
        f"the memory of a channel holds {max_samples} ({max_samples / sample_rate:.6g} s)",
        hint="shorten the longest element; `dac/max_samples` says what the memory holds",
    )
