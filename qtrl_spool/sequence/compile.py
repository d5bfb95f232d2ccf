"""From the record of appends to a `Program`.

`compile_columns` is called by `Sequence.compile` and `SequenceWrapper.compile`. It works on columns:
pulses are resolved once per distinct (pulse, overrides), references placed by propagation, and the
plays of all appends made at once. Everything that is wrong with a sequence is collected, each problem
naming its append (numbers count from 0); what is not concerned by one is placed and drawn all the
same, so that it too can be looked at. Nothing is drawn before all lengths are known to fit.

Known limits: an element of more than `MAX_SAMPLES`, or envelopes of more than `MAX_DRAWN` samples
together, are refused as a slip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.checks import checked, combined
from qtrl_spool.sequence.constraints import TableArrays, constraints_of, tree_of
from qtrl_spool.sequence.drawing import MAX_DRAWN, drawn, not_finite
from qtrl_spool.sequence.instances import Instances, instances_of
from qtrl_spool.sequence.limits import length_problem
from qtrl_spool.sequence.place import place
from qtrl_spool.sequence.program import PLAY, Program
from qtrl_spool.sequence.records import Columns
from qtrl_spool.sequence.report import placing_problems
from qtrl_spool.sequence.resolve import Resolver
from qtrl_spool.sequence.rows import Ints, Rows, rows_of
from qtrl_spool.sequence.virtual import turned

MAX_SAMPLES = 2**40
NONE: frozenset[int] = frozenset()


def compile_columns(
    columns: Columns,
    n_elements: int,
    sample_rate: float,
    resolver: Resolver,
    *,
    spoiled: frozenset[int] = NONE,
    max_samples: int = MAX_SAMPLES,
) -> tuple[Program | None, list[SequenceError]]:
    """Return the program that the appends stand for, and everything that is wrong with them.

    Parameters
    ----------
    columns:
        The appends.
    n_elements, sample_rate:
        Of the sequence; samples/s.
    resolver:
        Knows the pulses.
    spoiled:
        Appends that are known to be wrong: nothing more is said of them.
    max_samples:
        Longest element that is drawn.

    Returns
    -------
    program:
        What could be made, or None if it would not fit.
    problems:
        If there are any, the program is not that of the sequence.
    """
    layout, n_samples, problems = laid_out(columns, n_elements, sample_rate, resolver, spoiled)
    table = TableArrays.of(resolver)
    plays, turns = _components(layout, table, problems)
    early = min(0, int(plays["start"].min(initial=0)))
    if early:  # it is refused; drawn from its first sample on, the rest of it can still be looked at
        plays, turns = ({**each, "start": each["start"] - early} for each in (plays, turns))
        n_samples -= early
    n_samples = max(n_samples, int((plays["start"] + plays["n"]).max(initial=0)))
    if n_samples > max_samples:
        return None, [*problems, length_problem(n_samples, sample_rate, max_samples)]
    n_drawn = sum(n for _, _, n in resolver.table.envelopes)
    if n_drawn > MAX_DRAWN:
        sentence = f"the pulses have {n_drawn} different samples together, more than {MAX_DRAWN}"
        return None, [*problems, SequenceError(sentence, hint="split the sequence")]
    program = _program(plays, turns, table, resolver, (sample_rate, n_elements, n_samples))
    wrong = not_finite(program)
    if len(wrong):
        return None, [*problems, _not_a_number(program, int(wrong[0]))]
    return program, problems


def _not_a_number(program: Program, number: int) -> SequenceError:
    play = program.plays[number]
    return SequenceError(
        f"channel {play['channel']}, element {play['element']}, "
        f"{play['start'] / program.sample_rate * 1e6:.3f} us: a pulse has samples that are no finite numbers",
        hint="mend the parameters of its envelope, such as sigmas, delta or df",
    )


def laid_out(
    columns: Columns,
    n_elements: int,
    sample_rate: float,
    resolver: Resolver,
    spoiled: frozenset[int] = NONE,
) -> tuple[Instances, int, list[SequenceError]]:
    """Return every (append, element) that has a place, the samples from first to last reference, problems."""
    columns, problems, unknown = checked(columns, n_elements, sample_rate, spoiled)
    rows = rows_of(columns, n_elements, sample_rate, resolver, unknown, problems)
    at = _placed(columns, rows, TableArrays.of(resolver), n_elements, problems)
    shift, n_samples = _extent(at)
    layout = instances_of(columns, rows, at, n_elements, shift, problems)
    return layout, n_samples, problems


def spans_of(
    columns: Columns, element: int, n_elements: int, sample_rate: float, resolver: Resolver
) -> list[tuple[Any, int, int]]:
    """Return what plays in one element: (pulse as appended, first sample, sample after the last), in time."""
    layout, _, problems = laid_out(columns, n_elements, sample_rate, resolver)
    if problems:
        raise combined(problems)
    total = TableArrays.of(resolver).rows["total"]
    mine = np.flatnonzero(layout.element == element)
    begin = (layout.at + layout.before)[mine]
    found = zip(layout.append[mine].tolist(), begin.tolist(), total[layout.row[mine]].tolist(), strict=True)
    return sorted(
        ((columns.pulses[append], start, start + n) for append, start, n in found), key=lambda span: span[1]
    )


def _placed(
    columns: Columns, rows: Rows, table: TableArrays, n_elements: int, problems: list[SequenceError]
) -> Any:
    """Return where the references lie, in samples from 'Start', nan where that is unknown; add problems."""
    at = None if problems or (rows.row < 0).any() else tree_of(rows, table)
    if at is not None:
        return at
    constraints = constraints_of(rows, table, n_elements)
    placed = place(constraints, len(rows.names))
    problems += placing_problems(placed, constraints, rows.names, columns)
    return [np.nan if where is None else where for where in placed.at]


def _extent(at: Any) -> tuple[int, int]:
    """Return by how much everything moves so that the earliest reference is 0, and the latest one then."""
    if isinstance(at, np.ndarray):
        low, high = int(at.min()), int(at.max())
    else:
        every = np.concatenate([np.atleast_1d(where) for where in at]).astype(float)
        low, high = int(np.nanmin(every)), int(np.nanmax(every))
    return -low, high - low


Played = dict[str, NDArray[Any]]


def _components(
    instances: Instances, table: TableArrays, problems: list[SequenceError]
) -> tuple[Played, Played]:
    """Return the plays and the virtual Z of all instances, as columns."""
    parts = table.components
    count = table.rows["count"][instances.row]
    owner = np.repeat(np.arange(len(count)), count)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    part = table.rows["first"][instances.row][owner] + inside
    before, after, group = instances.before[owner], instances.after[owner], parts["group"][part]
    start = instances.at[owner] + parts["pre"][part] + before * (1 + group) + after * group
    virtual, n = parts["virtual"][part], parts["n"][part]
    acts = (n > 0) | virtual
    if (start[acts] < 0).any():
        problems += _too_early(np.flatnonzero((start < 0) & acts), start, owner, instances)
    every = {"element": instances.element[owner], "start": start}
    names = ("n", "channel", "subchannel", "freq", "envelope", "phase")
    real = np.flatnonzero(~virtual & (n > 0))
    turns = np.flatnonzero(virtual & (parts["phase"][part] != 0.0))
    return (
        {name: column[real] for name, column in every.items()}
        | {name: parts[name][part[real]] for name in names},
        {name: column[turns] for name, column in every.items()}
        | {name: parts[name][part[turns]] for name in ("freq", "phase")},
    )


def _too_early(early: Ints, start: Ints, owner: Ints, instances: Instances) -> list[SequenceError]:
    append = instances.append[owner[early]]
    problems = []
    for index in dict.fromkeys(append.tolist()):
        mine = early[append == index]
        worst = mine[start[mine].argmin()]
        problems.append(
            SequenceError(
                f"in element {instances.element[owner[worst]]} the pulse begins "
                f"{-start[worst]} samples before sample 0",
                where=f"append {index}",
                hint="nothing may play before the earliest reference; mend the negative delay",
            )
        )
    return problems


def _program(
    plays: Played, turns: Played, table: TableArrays, resolver: Resolver, size: tuple[float, int, int]
) -> Program:
    sample_rate, n_elements, n_samples = size
    real = ~table.components["virtual"]
    n_channels = max(1, int(table.components["channel"][real].max(initial=0))) + 1
    n_subchannels = int(table.components["subchannel"][real].max(initial=0)) + 1
    plays = turned(plays, turns, n_samples)
    key = (plays["element"] * (n_samples + 1) + plays["start"]) * n_channels + plays["channel"]
    order = np.argsort(key * n_subchannels + plays["subchannel"], kind="stable")
    used = _in_order_of_use(plays["envelope"][order], len(resolver.table.envelopes))
    samples, offsets = drawn(used, resolver.table, sample_rate)
    plays["offset"] = offsets[plays["envelope"]] + plays["skip"]
    uploaded = np.empty(len(order), PLAY)
    for name in PLAY.names or ():
        uploaded[name] = plays[name][order]
    inputs = tuple(resolver.table.keys[number] for number in used)
    return Program(sample_rate, n_elements, n_samples, n_channels, n_subchannels, samples, uploaded, inputs)


def _in_order_of_use(envelope: Ints, n_envelopes: int) -> Ints:
    """Return the numbers of the envelopes that are played, in the order of their first play."""
    first = np.full(n_envelopes, len(envelope), np.int64)
    first[envelope[::-1]] = np.arange(len(envelope))[::-1]
    order = np.argsort(first, kind="stable")
    return order[first[order] < len(envelope)]
