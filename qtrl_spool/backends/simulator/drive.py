"""From a program to the drives of a qubit, or of two: which distinct ones there are, and when each plays.

The channels I and Q of a line make z(t) = I + iQ, and the line carries Re(z e^{i w_LO t}). A qubit
feels its own line, and a part of others (`Source`). Every play is taken apart into *tones*, an
envelope on one carrier. A play on I and its twin on Q, -i times it, make one tone; anything else (one
channel alone, an imbalance) makes two, the second at the mirror frequency. Tones that overlap in
time make a *span*; spans that differ only by when they play, and by the phase of each qubit's
carrier, are one *distinct* span, whose evolution needs to be worked out once: a hundred Clifford
sequences hold thousands of spans, and a handful of distinct ones.

A sample holds from its own time to the next one's; its carrier goes on in between. A span never
reaches across a trigger: its tones are cut there. Called by `evolve` and `couple`. Pure.

Known limits: images of the DAC and the transfer function of the lines are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        ("field", "i8"),
    ]
)
STEPS_PER_BEAT = 16


@dataclass(frozen=True)
class Source:
    """A line that a qubit feels.

    Attributes
    ----------
    channels:
        DAC channels I and Q of the line.
    factor:
        What part of it arrives, and how it is turned.
    field:
        What it feeds: k is the drive of qubit k; with n qubits, n + k is what drives qubit k in a sense
        that depends on the level of the other.
    rate, near, faint:
        Rabi frequency at full scale and transition of what is driven, Hz before the local oscillator: tones
        that are weaker than `faint` times their distance to it are left out.
    """

    channels: tuple[int, int]
    factor: complex = 1.0
    field: int = 0
    rate: float = 0.0
    near: float = 0.0
    faint: float = 0.0


@dataclass(frozen=True, eq=False)
class Drive:
    """A distinct span.

    Attributes
    ----------
    freqs:
        Of the carrier that each qubit's drive is described against, Hz, before the local oscillator.
    fields:
        z of each field against the carrier of its qubit, full scale, complex [field, step].
    step:
        Length of a step, s.
    """

    freqs: tuple[float, ...]
    fields: NDArray[np.complex128]
    step: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """When qubits are driven, and how.

    Attributes
    ----------
    drives:
        The distinct spans.
    element, start, n:
        Of each span: its element, its first sample and its length in samples; sorted by element, then start.
    drive:
        Index into `drives` of each span.
    phase:
        Of the carrier of each qubit at the span's first sample, rad [span, qubit].
    """

    drives: tuple[Drive, ...]
    element: NDArray[np.int64]
    start: NDArray[np.int64]
    n: NDArray[np.int64]
    drive: NDArray[np.int64]
    phase: NDArray[np.float64]


def schedule(
    program: Program, sources: Sequence[Source], rest: Sequence[float], triggers: NDArray[np.int64]
) -> Schedule:
    """Return the drives of the qubits of a group.

    Parameters
    ----------
    program:
        The compiled waveforms.
    sources:
        The lines that they feel.
    rest:
        The qubits' own frequencies before the local oscillator, Hz: the carrier where nothing drives one.
    triggers:
        Samples at which spans are cut [element, trigger].
    """
    tones = _cut(_felt(program, sources), triggers)
    keys = ("freq", "offset", "n", "field", "start", "element")
    tones = tones[np.lexsort(tuple(tones[key] for key in keys))]
    first = _span_starts(tones)
    span = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(tones))))
    begin = tones[first]
    freq, phase = _carriers(tones, span, begin["start"], rest, program.sample_rate)
    relative = _relative(tones, span, begin["start"], freq, phase, program.sample_rate)
    drive, examples = _distinct(relative, first, freq)
    ends = np.maximum.reduceat(tones["start"] + tones["n"], first) if len(first) else begin["start"]
    limits = np.append(first, len(tones))
    crossed = any(source.field >= len(rest) for source in sources)
    n_fields = len(rest) * (2 if crossed else 1)
    return Schedule(
        drives=tuple(
            _draw(program, relative[limits[at] : limits[at + 1]], tuple(freq[at].tolist()), n_fields)
            for at in examples
        ),
        element=begin["element"],
        start=begin["start"],
        n=ends - begin["start"],
        drive=drive,
        phase=phase,
    )


def _felt(program: Program, sources: Sequence[Source]) -> NDArray[np.void]:
    """Return the tones of all sources, each as strong as it arrives."""
    found = [np.zeros(0, dtype=TONE)]
    for source in sources:
        tones = _tones(program, source.channels)
        if source.faint:
            tones = tones[strength(program, tones, source) > source.faint]
        tones["scale"] *= abs(source.factor)
        tones["phase"] += np.angle(source.factor)
        tones["field"] = source.field
        found.append(tones)
    return np.concatenate(found)


def reached(program: Program, source: Source) -> float:
    """Return how strongly the loudest tone of a source drives what it is near to; see `strength`."""
    return float(np.max(strength(program, _tones(program, source.channels), source), initial=0.0))


def strength(program: Program, tones: NDArray[np.void], source: Source) -> NDArray[np.float64]:
    """Return the Rabi frequency of each tone over its distance to the transition, infinite on resonance."""
    example, number = numbered(tones["offset"], tones["n"])
    sizes = [
        np.max(np.abs(program.samples[one["offset"] : one["offset"] + one["n"]])) for one in tones[example]
    ]
    rate = abs(source.rate * source.factor) * tones["scale"] * np.array(sizes, dtype=np.float64)[number]
    away = np.abs(tones["freq"] - (source.near))
    return np.asarray(np.divide(rate, away, out=np.full(len(tones), np.inf), where=away > 0))


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
    loud = np.flatnonzero(samples)
    first, last = plays["offset"], plays["offset"] + plays["n"]
    return np.asarray(np.searchsorted(loud, first) < np.searchsorted(loud, last))


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
    kinds = zip(*(column[example].tolist() for column in pairs), strict=True)
    balanced = [_is_balanced(samples, *kind) for kind in kinds]
    return np.asarray(at[np.array(balanced, dtype=bool)[number]])


def _is_balanced(samples: NDArray[np.complex64], in_phase: int, quadrature: int, n: int, turn: float) -> bool:
    one = samples[in_phase : in_phase + n]
    away = samples[quadrature : quadrature + n] * np.complex64(np.exp(1j * turn)) + np.complex64(1j) * one
    return bool(np.vdot(away, away).real <= 1e-12 * np.vdot(one, one).real)


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


def _carriers(
    tones: NDArray[np.void],
    span: NDArray[np.int64],
    begins: NDArray[np.int64],
    rest: Sequence[float],
    sample_rate: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the carrier of each qubit in each span, Hz, and its phase at the start, rad [span, qubit].

    It is the one of the first tone that drives the qubit, else of the first that drives it by way of the
    other, else the qubit's own.
    """
    freq = np.tile(np.asarray(rest, dtype=np.float64), (len(begins), 1))
    phase = np.zeros_like(freq)
    for qubit in range(len(rest)):
        for field in (len(rest) + qubit, qubit):
            mine = np.flatnonzero(tones["field"] == field)
            where, example = np.unique(span[mine], return_index=True)
            freq[where, qubit] = tones["freq"][mine[example]]
            phase[where, qubit] = tones["phase"][mine[example]]
    return freq, _wrapped(phase + 2 * np.pi * freq * begins[:, None] / sample_rate)


def _relative(
    tones: NDArray[np.void],
    span: NDArray[np.int64],
    begins: NDArray[np.int64],
    freq: NDArray[np.float64],
    phase: NDArray[np.float64],
    sample_rate: float,
) -> NDArray[np.void]:
    """Return the tones against the start of their span and the carrier of their qubit."""
    qubit = tones["field"] % freq.shape[1]
    relative = tones.copy()
    relative["start"] -= begins[span]
    there = tones["phase"] + 2 * np.pi * tones["freq"] * begins[span] / sample_rate
    relative["phase"] = np.round(_wrapped(there - phase[span, qubit]), 9) + 0.0
    relative["element"] = 0
    return relative


def _distinct(
    relative: NDArray[np.void], first: NDArray[np.int64], freq: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[int]]:
    """Return for each span the number of the distinct one that it is, and an example of each."""
    _, tone = numbered(*(relative[key] for key in TONE.names or ()))
    _, carrier = numbered(*freq.T)
    limits = np.append(first, len(relative)).tolist()
    numbers, carriers = tone.tolist(), carrier.tolist()
    seen: dict[tuple[int, ...], int] = {}
    examples: list[int] = []
    drive = np.empty(len(first), dtype=np.int64)
    for at in range(len(first)):
        made_of = (carriers[at], *numbers[limits[at] : limits[at + 1]])
        if made_of not in seen:
            seen[made_of] = len(examples)
            examples.append(at)
        drive[at] = seen[made_of]
    return drive, examples


def _draw(program: Program, tones: NDArray[np.void], freqs: tuple[float, ...], n_fields: int) -> Drive:
    """Add up the tones of one span, each against the carrier of its qubit."""
    rate = program.sample_rate
    away = tones["freq"] - np.asarray(freqs)[tones["field"] % len(freqs)]
    finer = 2 * int(np.ceil(np.max(np.abs(away)) / rate * STEPS_PER_BEAT / 2)) or 1
    length = int(np.max(tones["start"] + tones["n"]))
    fields = np.zeros((n_fields, length * finer), dtype=np.complex128)
    beats = (2 * np.pi * away / rate).tolist()
    columns = (tones[key].tolist() for key in ("start", "n", "offset", "phase", "scale", "mirrored", "field"))
    for beat, begin, n, offset, phase, scale, mirrored, field in zip(beats, *columns, strict=True):
        samples = program.samples[offset : offset + n]
        drawn = (samples.conj() if mirrored else samples) * np.complex128(scale * np.exp(1j * phase))
        if finer > 1:
            drawn = (drawn[:, None] * _beating(beat, begin + np.arange(n), finer)).ravel()
        fields[field, begin * finer : (begin + n) * finer] += drawn
    return Drive(freqs=freqs, fields=fields, step=1 / (rate * finer))


def _beating(beat: float, samples: NDArray[np.int64], finer: int) -> NDArray[np.complex128]:
    """Return a tone's factor in each of the steps that samples are divided into [sample, step].

    `beat` is in rad per sample. Steps come in twos, each with the amplitude that makes the two together
    right to the fourth order (the commutator-free Magnus integrator of Blanes and Moan).
    """
    pair = 2 / finer
    places = np.arange(finer // 2)[:, None] * pair + (0.5 + np.array([-1, 1]) * 3**0.5 / 6) * pair
    at_nodes = np.exp(1j * beat * (samples[:, None, None] + places))
    mixing = 0.5 + np.array([[1, -1], [-1, 1]]) * 3**0.5 / 3
    return np.asarray((at_nodes @ mixing).reshape(len(samples), finer))


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
