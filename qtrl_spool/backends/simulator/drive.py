"""From a program to the drives of one qubit: which distinct ones there are, and when each plays.

The channels I and Q of a qubit make z(t) = I + iQ, and the line carries Re(z e^{i w_LO t}). Every
play is taken apart into *tones*, an envelope on one carrier. A play on I and its twin on Q, -i
times it, make one tone; anything else (one channel alone, an imbalance) makes two, the second at
the mirror frequency. Tones that overlap in time make a *span*; spans that differ only by when they
play, and by a common phase, are one *distinct* span, whose evolution needs to be worked out once:
a hundred Clifford sequences hold thousands of spans, and a handful of distinct ones.

A sample holds from its own time to the next one's; its carrier goes on in between. A span never
reaches across a trigger: its tones are cut there. Called by `evolve`. Pure.

Known limits: images of the DAC and the transfer function of the lines are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from qtrl_spool.sequence import Program

TONE = np.dtype(
    [
        ("element", "i8"),
        ("start", "i8"),
        ("n", "i8"),
        ("offset", "i8"),
        ("freq", "f8"),
        ("phase", "f8"),
        ("scale", "f8"),
        ("mirrored", "?"),
    ]
)
STEPS_PER_BEAT = 32


@dataclass(frozen=True, eq=False)
class Drive:
    """A distinct span.

    Attributes
    ----------
    freq:
        Of the carrier that it is described against, Hz, before the local oscillator.
    samples:
        z against that carrier, full scale, complex [step].
    step:
        Length of a step, s.
    """

    freq: float
    samples: NDArray[np.complex128]
    step: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """When a qubit is driven, and how.

    Attributes
    ----------
    drives:
        The distinct spans.
    element, start, n:
        Of each span: its element, its first sample and its length in samples; sorted by element, then start.
    drive:
        Index into `drives` of each span.
    phase:
        Of the span's carrier at its first sample, rad, of each span.
    """

    drives: tuple[Drive, ...]
    element: NDArray[np.int64]
    start: NDArray[np.int64]
    n: NDArray[np.int64]
    drive: NDArray[np.int64]
    phase: NDArray[np.float64]


def schedule(program: Program, channels: tuple[int, int], triggers: NDArray[np.int64]) -> Schedule:
    """Return the drives of the qubit on two channels.

    Parameters
    ----------
    program:
        The compiled waveforms.
    channels:
        The qubit's channels I and Q.
    triggers:
        Samples at which spans are cut [element, trigger].
    """
    tones = _cut(_tones(program, channels), triggers)
    tones = tones[np.lexsort((tones["freq"], tones["offset"], tones["n"], tones["start"], tones["element"]))]
    first = _span_starts(tones)
    relative = _relative(tones, first, program.sample_rate)
    drive, examples = _distinct(relative, first)
    begin = tones[first]
    ends = np.maximum.reduceat(tones["start"] + tones["n"], first) if len(first) else begin["start"]
    limits = np.append(first, len(tones))
    return Schedule(
        drives=tuple(_draw(program, relative[limits[at] : limits[at + 1]]) for at in examples),
        element=begin["element"],
        start=begin["start"],
        n=ends - begin["start"],
        drive=drive,
        phase=_wrapped(begin["phase"] + 2 * np.pi * begin["freq"] * begin["start"] / program.sample_rate),
    )


def _tones(program: Program, channels: tuple[int, int]) -> NDArray[np.void]:
    plays = program.plays
    wanted = np.isin(plays["channel"], channels) & (plays["subchannel"] == 0) & (plays["n"] > 0)
    plays = plays[wanted]
    plays = plays[_loud(program.samples, plays)]
    on_q = plays["channel"] == channels[1]
    order = np.lexsort((on_q, plays["freq"], plays["n"], plays["start"], plays["element"]))
    plays, on_q = plays[order], on_q[order]
    twins = _twins(program.samples, plays, on_q)
    alone = np.ones(len(plays), dtype=bool)
    alone[twins] = alone[twins + 1] = False
    single = [_as_tones(plays[alone], on_q[alone], mirrored) for mirrored in (False, True)]
    paired = _as_tones(plays[twins], on_q[twins], False)
    paired["scale"] = 1.0
    return np.concatenate([paired, *single])


def _loud(samples: NDArray[np.complex64], plays: NDArray[np.void]) -> NDArray[np.bool_]:
    """Say which plays have any amplitude at all."""
    example, number = numbered(plays["offset"], plays["n"])
    loud = [np.any(samples[play["offset"] : play["offset"] + play["n"]]) for play in plays[example]]
    return np.asarray(np.array(loud, dtype=bool)[number])


def _twins(
    samples: NDArray[np.complex64], plays: NDArray[np.void], on_q: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return where a play on I is followed by its own twin on Q, -i times it."""
    one, two = plays[:-1], plays[1:]
    same = ~on_q[:-1] & on_q[1:]
    for key in ("element", "start", "n", "freq"):
        same &= one[key] == two[key]
    at = np.flatnonzero(same)
    turn = np.round(_wrapped(two["phase"][at] - one["phase"][at]), 9)
    pairs = (one["offset"][at], two["offset"][at], one["n"][at], turn)
    example, number = numbered(*pairs)
    balanced = [_is_balanced(samples, *(column[which].item() for column in pairs)) for which in example]
    return np.asarray(at[np.array(balanced, dtype=bool)[number]])


def _is_balanced(samples: NDArray[np.complex64], in_phase: int, quadrature: int, n: int, turn: float) -> bool:
    one = samples[in_phase : in_phase + n]
    two = samples[quadrature : quadrature + n] * np.exp(1j * turn)
    return bool(np.max(np.abs(two + 1j * one)) <= 1e-6 * np.max(np.abs(one)))


def _as_tones(plays: NDArray[np.void], on_q: NDArray[np.bool_], mirrored: bool) -> NDArray[np.void]:
    """Return Re(E e^{i theta}), or i times it on Q, as halves: E e^{i theta} and its mirror image."""
    sign = -1.0 if mirrored else 1.0
    tones = np.zeros(len(plays), dtype=TONE)
    for key in ("element", "start", "n", "offset"):
        tones[key] = plays[key]
    tones["freq"] = sign * plays["freq"] + 0.0
    tones["phase"] = sign * plays["phase"] + np.where(on_q, np.pi / 2, 0.0)
    tones["scale"], tones["mirrored"] = 0.5, mirrored
    return tones


def _cut(tones: NDArray[np.void], triggers: NDArray[np.int64]) -> NDArray[np.void]:
    """Cut every tone that reaches across a trigger of its element in two."""
    for at in range(triggers.shape[1]):
        cut = triggers[tones["element"], at]
        across = (tones["start"] < cut) & (cut < tones["start"] + tones["n"])
        if not across.any():
            continue
        head, tail, where = tones[across].copy(), tones[across].copy(), cut[across]
        head["n"] = where - head["start"]
        tail["n"] -= head["n"]
        tail["offset"] += head["n"]
        tail["start"] = where
        tones = np.concatenate([tones[~across], head, tail])
    return tones


def _span_starts(tones: NDArray[np.void]) -> NDArray[np.int64]:
    """Return where a new span begins: where nothing that began before still plays."""
    if not len(tones):
        return np.zeros(0, dtype=np.int64)
    longest = np.int64(np.max(tones["start"] + tones["n"])) + 1
    begins = tones["element"] * longest + tones["start"]
    busy_until = np.maximum.accumulate(begins + tones["n"])
    return np.flatnonzero(np.append(True, begins[1:] >= busy_until[:-1]))


def _relative(tones: NDArray[np.void], first: NDArray[np.int64], sample_rate: float) -> NDArray[np.void]:
    """Return the tones against the start and the carrier of their span; `element` becomes the reference."""
    span = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(tones))))
    reference = tones[first][span]
    relative = tones.copy()
    relative["start"] -= reference["start"]
    turned = 2 * np.pi * (tones["freq"] - reference["freq"]) * reference["start"] / sample_rate
    relative["phase"] = np.round(_wrapped(tones["phase"] - reference["phase"] + turned), 9) + 0.0
    relative["element"] = span
    return relative


def _distinct(relative: NDArray[np.void], first: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Return for each span the number of the distinct one that it is, and an example of each."""
    keys = [name for name in TONE.names or () if name != "element"]
    _, tone = numbered(*(relative[key] for key in keys))
    limits = np.append(first, len(relative)).tolist()
    numbers = tone.tolist()
    seen: dict[tuple[int, ...], int] = {}
    examples: list[int] = []
    drive = np.empty(len(first), dtype=np.int64)
    for at in range(len(first)):
        made_of = tuple(numbers[limits[at] : limits[at + 1]])
        if made_of not in seen:
            seen[made_of] = len(examples)
            examples.append(at)
        drive[at] = seen[made_of]
    return drive, examples


def _draw(program: Program, tones: NDArray[np.void]) -> Drive:
    """Add up the tones of one span against its first carrier."""
    freq, rate = float(tones["freq"][0]), program.sample_rate
    beat = float(np.max(np.abs(tones["freq"] - freq)))
    finer = max(1, int(np.ceil(beat / rate * STEPS_PER_BEAT)))
    length = int(np.max(tones["start"] + tones["n"]))
    samples = np.zeros(length * finer, dtype=np.complex128)
    for tone in tones:
        begin, n = int(tone["start"]), int(tone["n"])
        drawn = program.samples[int(tone["offset"]) : int(tone["offset"]) + n].astype(np.complex128)
        drawn = np.repeat(drawn.conj() if tone["mirrored"] else drawn, finer) * tone["scale"]
        middle = (np.arange(n * finer) + 0.5) / finer + begin
        away = 2 * np.pi * (float(tone["freq"]) - freq) / rate
        factor: complex | NDArray[np.complex128] = (
            np.exp(1j * (away * middle + tone["phase"])) if away else 1.0
        )
        if not away and tone["phase"]:
            factor = complex(np.exp(1j * tone["phase"]))
        samples[begin * finer : (begin + n) * finer] += drawn * factor
    return Drive(freq=freq, samples=samples, step=1 / (rate * finer))


def numbered(*columns: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct rows: return where an example of each is, and the number of every row."""
    order = np.lexsort(columns)
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for column in columns:
        in_order = column[order]
        new[1:] |= in_order[1:] != in_order[:-1]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    return order[new], number


def _wrapped(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(phase - 2 * np.pi * np.round(phase / (2 * np.pi)))
