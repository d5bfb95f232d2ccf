"""From the record of appends to a `Program`.

`compile_records` is called by `Sequence.compile` and `SequenceWrapper.compile`. It works on columns:
pulses are resolved once per distinct (pulse, overrides), references placed by propagation, and the
plays of all appends made at once. Everything that is wrong with a sequence is collected and raised as
one `SequenceError`, whose `problems` name the append each (numbers count from 0).

Known limit: a program of more than `MAX_SAMPLES` per element is refused as a slip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.checks import checked, combined, with_place
from qtrl_spool.sequence.envelopes import draw
from qtrl_spool.sequence.place import Constraints, Placed, place
from qtrl_spool.sequence.program import PLAY, Program
from qtrl_spool.sequence.records import BY_END, BY_START, START, SWEEPS, Record
from qtrl_spool.sequence.report import placing_problems
from qtrl_spool.sequence.resolve import COLUMNS, Resolver
from qtrl_spool.sequence.sweep import Elements, is_swept, values_of
from qtrl_spool.sequence.virtual import turned

MAX_SAMPLES = 2**40
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Rows:
    """The appends as columns; what could not be resolved has row -1.

    Attributes
    ----------
    row, before, after:
        Row of the resolver's table; start and end delay in samples. For an append that sweeps, those
        of its first element.
    start, end:
        Numbers of the references.
    swept:
        For each append that sweeps ``(elements, row, before, after)``, arrays over its elements.
    names:
        Numbers of the references by name.
    """

    row: Ints
    before: Ints
    after: Ints
    start: list[int]
    end: list[int]
    names: dict[str, int]
    swept: dict[int, tuple[Ints, Ints, Ints, Ints]] = field(default_factory=dict)


def compile_records(
    records: Sequence[Record], n_elements: int, sample_rate: float, resolver: Resolver
) -> Program:
    """Return the program that `records` stand for.

    Raises
    ------
    SequenceError
        With everything that is wrong in ``problems``.
    """
    records, problems, unknown = checked(records, n_elements)
    rows = _rows(records, n_elements, sample_rate, resolver, problems, unknown)
    columns = _Columns.of(resolver)
    constraints, n_references = _constraints(records, rows, columns, n_elements)
    placed = place(constraints, n_references)
    problems += placing_problems(placed, constraints, rows.names, records)
    if problems:
        raise combined(problems)
    shift, n_samples = _extent(placed)
    instances = _instances(records, rows, placed, n_elements, shift, problems)
    plays, turns = _components(instances, columns, problems)
    if problems:
        raise combined(problems)
    n_samples = max(n_samples, int((plays["start"] + plays["n"]).max(initial=0)))
    if n_samples > MAX_SAMPLES:
        raise SequenceError(f"an element would have {n_samples} samples, more than {MAX_SAMPLES}")
    return _program(plays, turns, columns, resolver, (sample_rate, n_elements, n_samples))


def _rows(
    records: Sequence[Record],
    n_elements: int,
    sample_rate: float,
    resolver: Resolver,
    problems: list[SequenceError],
    bad: set[int],
) -> Rows:
    names: dict[str, int] = {START: 0}
    number = names.setdefault
    start = [number(record[2], len(names)) for record in records]
    end = [number(record[3], len(names)) for record in records]
    row = _resolved(records, resolver, problems, bad)
    rows = Rows(
        np.array(row, np.int64),
        _delays(records, 4, sample_rate),
        _delays(records, 5, sample_rate),
        start,
        end,
        names,
    )
    for index, record in enumerate(records):
        if record[7] & SWEEPS and index not in bad:
            try:
                rows.swept[index] = _expanded(record, n_elements, sample_rate, resolver)
            except SequenceError as error:
                problems.append(with_place(error, index))
                rows.row[index] = -1
            else:
                rows.row[index] = rows.swept[index][1][0] if len(rows.swept[index][1]) else -2
    return rows


def _resolved(
    records: Sequence[Record], resolver: Resolver, problems: list[SequenceError], bad: set[int]
) -> list[int]:
    """Return the resolver's row for each append; -1 for what cannot be resolved, reported once each."""
    found: dict[Any, int] = {}
    failed: dict[Any, tuple[SequenceError, list[int]]] = {}
    rows: list[int] = []
    for index, record in enumerate(records):
        pulse, overrides = record[0], record[6]
        if overrides is None and not failed:
            row = found.get(pulse)
            if row is not None:
                rows.append(row)
                continue
        rows.append(-1)
        if index in bad or record[7] & SWEEPS:
            continue
        try:
            rows[-1] = resolver.row(pulse, overrides)
            if overrides is None:
                found[pulse] = rows[-1]
        except SequenceError as error:
            failed.setdefault((type(error), str(error)), (error, []))[1].append(index)
    problems += [with_place(error, *where) for error, where in failed.values()]
    return rows


def _delays(records: Sequence[Record], column: int, sample_rate: float) -> Ints:
    values = [record[column] for record in records]
    if not any(values):
        return np.zeros(len(values), np.int64)
    plain = [0.0 if isinstance(value, Mapping) else value for value in values]
    return np.rint(np.asarray(plain, float) * sample_rate).astype(np.int64)


def _expanded(
    record: Record, n_elements: int, sample_rate: float, resolver: Resolver
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return elements, rows and delays (samples) of an append that sweeps."""
    elements = elements_of(record.element, n_elements)
    n = len(elements)
    before = _swept_column("start_delay", record.start_delay, n)
    after = _swept_column("end_delay", record.end_delay, n)
    overrides = record.overrides or {}
    columns = {key: _swept_column(key, value, n) for key, value in overrides.items() if key != "kwargs"}
    inner = overrides.get("kwargs")
    if isinstance(inner, Mapping):
        kwargs = {key: _swept_column(f"kwargs {key}", value, n) for key, value in inner.items()}
        columns["kwargs"] = [{key: values[i] for key, values in kwargs.items()} for i in range(n)]
    elif inner is not None:
        columns["kwargs"] = [inner] * n
    rows = [resolver.row(record.pulse, {key: values[i] for key, values in columns.items()}) for i in range(n)]
    rint = [np.rint(np.asarray(delay, float) * sample_rate).astype(np.int64) for delay in (before, after)]
    return elements, np.array(rows, np.int64), rint[0], rint[1]


def _swept_column(name: str, value: Any, n: int) -> list[Any]:
    """Return the values of one quantity over the `n` elements of a sweep."""
    if not is_swept(value):
        return [value] * n
    values = values_of(value)
    if len(values) != n:
        raise SequenceError(f"{name} has {len(values)} values for {n} elements")
    return values


def elements_of(element: Any, n_elements: int) -> Ints:
    """Return the elements that an append plays in, each once, in order."""
    if isinstance(element, Elements):
        return element.indices(n_elements)
    everything = np.arange(n_elements)
    if element is None:
        return everything
    if isinstance(element, slice):
        return np.sort(everything[element])
    return np.unique(everything[np.atleast_1d(np.array(element, np.int64))])


@dataclass(frozen=True)
class _Columns:
    """The resolver's table as arrays."""

    rows: dict[str, Ints]
    components: dict[str, NDArray[Any]]

    @staticmethod
    def of(resolver: Resolver) -> _Columns:
        table = resolver.table
        rows = {
            name: np.array(getattr(table, name), np.int64)
            for name in ("first", "count", "total", "tick", "n_groups")
        }
        kinds = {"freq": float, "phase": float, "virtual": bool}
        components = {name: np.array(table.components[name], kinds.get(name, np.int64)) for name in COLUMNS}
        return _Columns(rows, components)


def _constraints(
    records: Sequence[Record], rows: Rows, columns: _Columns, n_elements: int
) -> tuple[Constraints, int]:
    """Return what the appends say about their references, and how many references there are."""
    row, delays = rows.row, rows.before + rows.after
    known = row >= 0
    total = np.full(len(row), np.nan)
    first = np.full(len(row), np.nan)
    total[known] = columns.rows["total"][row[known]] + delays[known] * columns.rows["n_groups"][row[known]]
    first[known] = columns.rows["tick"][row[known]] + delays[known]
    whole: list[Any] = total.astype(np.int64).tolist() if known.all() else total.tolist()
    for index in rows.swept:
        whole[index] = _by_element(rows.swept[index], columns, n_elements)
    constraints = Constraints(
        list(rows.start), list(rows.end), whole, range(len(row)), has_sweeps=bool(rows.swept)
    )
    named = [index for index, record in enumerate(records) if record[7] & BY_END]
    if named:
        _end_given(constraints, records, rows, first, named, columns, n_elements)
    return constraints, len(rows.names)


def _end_given(
    constraints: Constraints,
    records: Sequence[Record],
    rows: Rows,
    first: Floats,
    named: list[int],
    columns: _Columns,
    n_elements: int,
) -> None:
    """Where the caller names the end, it is that of the first group; the last one's gets a name of its own."""
    appends = list(constraints.append)
    for index in named:
        last = f"ref{index + 1}" + ("" if records[index][7] & BY_START else ".end")
        whole = constraints.n[index]
        if index in rows.swept:
            constraints.n[index] = _by_element(rows.swept[index], columns, n_elements, first_only=True)
        else:
            constraints.n[index] = first[index] if np.isnan(first[index]) else int(first[index])
        constraints.start.append(rows.start[index])
        constraints.end.append(rows.names.setdefault(last, len(rows.names)))
        constraints.n.append(whole)
        appends.append(index)
    constraints.append = appends


def _by_element(
    swept: tuple[Ints, Ints, Ints, Ints], columns: _Columns, n_elements: int, *, first_only: bool = False
) -> Floats:
    """Return the length of a swept append [element], nan where it does not play."""
    elements, row, before, after = swept
    length = np.full(n_elements, np.nan)
    groups = 1 if first_only else columns.rows["n_groups"][row]
    ticks = columns.rows["tick" if first_only else "total"][row]
    length[elements] = ticks + (before + after) * groups
    return length


def _extent(placed: Placed) -> tuple[int, int]:
    """Return by how much everything moves so that the earliest reference is 0, and the latest one then."""
    arrays = [where for where in placed.at if isinstance(where, np.ndarray)]
    numbers = np.array([where for where in placed.at if not isinstance(where, np.ndarray)], float)
    low = min([numbers.min(), *(np.nanmin(where) for where in arrays if not np.isnan(where).all())])
    high = max([numbers.max(), *(np.nanmax(where) for where in arrays if not np.isnan(where).all())])
    return int(-low), int(high - low)


@dataclass(frozen=True)
class _Instances:
    """Every (append, element) that plays, as columns; `at` is where the append begins, in samples."""

    append: Ints
    row: Ints
    element: Ints
    at: Ints
    before: Ints
    after: Ints


def _instances(
    records: Sequence[Record],
    rows: Rows,
    placed: Placed,
    n_elements: int,
    shift: int,
    problems: list[SequenceError],
) -> _Instances:
    elements = [record[1] for record in records]
    if set(map(type, elements)) <= {int} and not rows.swept:
        number = np.arange(len(records))
        element = np.array(elements, np.int64)
        row, before, after = rows.row, rows.before, rows.after
    else:
        number, element, row, before, after = _spread(elements, rows, n_elements)
    element = np.where(element < 0, element + n_elements, element)
    starts = np.array(rows.start, np.int64)[number]
    scalar = np.array([np.nan if isinstance(at, np.ndarray) else at for at in placed.at])
    at = scalar[starts]
    for reference, where in enumerate(placed.at):
        if isinstance(where, np.ndarray):
            mine = starts == reference
            at[mine] = where[element[mine]]
    _undefined(at, number, element, records, problems)
    return _Instances(number, row, element, np.nan_to_num(at).astype(np.int64) + shift, before, after)


def _spread(elements: list[Any], rows: Rows, n_elements: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Return append, element, row and delays of every (append, element)."""
    sets: list[Any] = []
    for index, element in enumerate(elements):
        if index in rows.swept:
            sets.append(rows.swept[index][0])
        else:
            sets.append((element,) if type(element) is int else elements_of(element, n_elements))
    counts = np.array([len(entry) for entry in sets], np.int64)
    number = np.repeat(np.arange(len(sets)), counts)
    first = np.cumsum(counts) - counts
    element = np.concatenate([np.asarray(entry, np.int64) for entry in sets]) if sets else number
    columns = [column[number] for column in (rows.row, rows.before, rows.after)]
    for index, (_, *swept) in rows.swept.items():
        for column, values in zip(columns, swept, strict=True):
            column[first[index] : first[index] + counts[index]] = values
    return number, element, columns[0], columns[1], columns[2]


def _undefined(
    at: Floats, number: Ints, element: Ints, records: Sequence[Record], problems: list[SequenceError]
) -> None:
    missing = np.flatnonzero(np.isnan(at))
    for index in dict.fromkeys(number[missing].tolist()):
        where = element[missing[number[missing] == index]].tolist()
        name = records[index].start
        problems.append(
            SequenceError(
                f"the reference {name!r} has no place in element {where[0]}"
                + (f" and {len(where) - 1} more" if len(where) > 1 else ""),
                where=f"append {index}",
                hint="the sweep that makes it leaves these elements out",
            )
        )


_PLAYED = np.dtype([*PLAY.descr, ("envelope", "i8"), ("append", "i8")])


def _components(
    instances: _Instances, columns: _Columns, problems: list[SequenceError]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the plays and the virtual Z of all instances, as columns."""
    count = columns.rows["count"][instances.row]
    owner = np.repeat(np.arange(len(count)), count)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    part = columns.rows["first"][instances.row][owner] + inside
    group = columns.components["group"][part]
    before, after = instances.before[owner], instances.after[owner]
    start = instances.at[owner] + columns.components["pre"][part] + before * (1 + group) + after * group
    n = columns.components["n"][part]
    virtual = columns.components["virtual"][part]
    _too_early(start, (n > 0) | virtual, instances.append[owner], instances.element[owner], problems)
    every = {"element": instances.element[owner], "start": start, "n": n}
    for name in ("channel", "subchannel", "freq", "envelope", "phase"):
        every[name] = columns.components[name][part]
    real = np.flatnonzero(~virtual & (n > 0))
    turns = np.flatnonzero(virtual & (every["phase"] != 0.0))
    return (
        {name: column[real] for name, column in every.items()},
        {name: every[name][turns] for name in ("element", "start", "freq", "phase")},
    )


def _too_early(
    start: Ints, counts: NDArray[np.bool_], append: Ints, element: Ints, problems: list[SequenceError]
) -> None:
    early = np.flatnonzero((start < 0) & counts)
    for index in dict.fromkeys(append[early].tolist()):
        mine = early[append[early] == index]
        worst = mine[start[mine].argmin()]
        problems.append(
            SequenceError(
                f"in element {element[worst]} the pulse begins {-start[worst]} samples before sample 0",
                where=f"append {index}",
                hint="nothing may play before the earliest reference; mend the negative delay",
            )
        )


def _program(
    plays: dict[str, NDArray[Any]],
    turns: dict[str, NDArray[Any]],
    columns: _Columns,
    resolver: Resolver,
    size: tuple[float, int, int],
) -> Program:
    sample_rate, n_elements, n_samples = size
    real = ~columns.components["virtual"]
    n_channels = max(1, int(columns.components["channel"][real].max(initial=0))) + 1
    n_subchannels = int(columns.components["subchannel"][real].max(initial=0)) + 1
    plays = turned(plays, turns, n_samples)
    place_key = (plays["element"] * (n_samples + 1) + plays["start"]) * n_channels + plays["channel"]
    order = np.argsort(place_key * n_subchannels + plays["subchannel"], kind="stable")
    used = _in_order_of_use(plays["envelope"][order], len(resolver.table.envelopes))
    lengths = np.array([resolver.table.envelopes[number][2] for number in used], np.int64)
    offsets = np.zeros(len(resolver.table.envelopes), np.int64)
    offsets[used] = np.cumsum(lengths) - lengths
    table = np.empty(len(order), PLAY)
    plays["offset"] = offsets[plays["envelope"]] + plays["skip"]
    for name in PLAY.names or ():
        table[name] = plays[name][order]
    drawn = np.empty(int(lengths.sum()), np.complex64)
    for number in used:
        env_func, kwargs, n = resolver.table.envelopes[number]
        drawn[offsets[number] : offsets[number] + n] = draw(env_func, n, kwargs, sample_rate)
    inputs = tuple(resolver.table.keys[number] for number in used)
    return Program(sample_rate, n_elements, n_samples, n_channels, n_subchannels, drawn, table, inputs)


def _in_order_of_use(envelope: Ints, n_envelopes: int) -> Ints:
    """Return the numbers of the envelopes that are played, in the order of their first play."""
    first = np.full(n_envelopes, len(envelope), np.int64)
    first[envelope[::-1]] = np.arange(len(envelope))[::-1]
    order = np.argsort(first, kind="stable")
    return order[first[order] < len(envelope)]
