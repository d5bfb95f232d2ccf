"""The steps of a chain, one function for each ``type`` of the configuration.

The keyword arguments of a function are the ``kwargs`` that its type may have: `STEPS` is the table
of types, and `qtrl_spool.processing.chain` checks a configuration against the signatures here.
Each takes the `Work` so far and returns the next; what it computes is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qtrl_spool.axes import BATCHED, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import classification, counting, demodulation, fitting, staircase
from qtrl_spool.processing.classifier import gmm
from qtrl_spool.processing.streams import Data, changed, gather, picked, size, total
from qtrl_spool.processing.work import (
    Bins,
    Run,
    Work,
    held,
    leave_out,
    levels_of,
    look_up,
    matrices_of,
    named_axis,
    note,
    number,
    numbered_axes,
    points_of,
    put,
    readout_label,
    rows_of,
)


def heterodyne(work: Work, *, freq_labels: Any, frequencies: Any, sample_rate: Any = None) -> Work:
    """Look at the parameters; the data are demodulated before the chain runs."""
    demodulation.known_frequencies(freq_labels, frequencies)
    if sample_rate is not None and not number(sample_rate, "sample_rate") > 0:
        raise ProcessingError(f"sample_rate is {sample_rate!r}, expected samples/s above zero")
    return work


def iq_rotation(work: Work, *, angles: Any, input_name: Any = "Heterodyne", result_name: Any = None) -> Work:
    """Turn each readout's IQ plane by its angle (rad)."""
    iq = points_of(work, input_name)
    rows = rows_of(work, angles, "angles")
    if np.ndim(rows) != 1:
        raise ProcessingError("angles need one number (rad) for each readout")
    turned = changed(iq, lambda batch, _: classification.rotate(batch, np.asarray(rows)))
    result = str(result_name or input_name)
    before = work.rotations.get(str(input_name), np.zeros(len(rows)))
    return replace(put(work, result, turned), rotations={**work.rotations, result: before + rows})


def axis_trigger_selector(
    work: Work, *, input_name: Any, result_name: Any, axis: Any = None, trigger: Any = None
) -> Work:
    """Take one index of the first axis (`axis`) and of the last axis (`trigger`), as numbered in 2019."""
    data, error = look_up(work, input_name), work.errors.get(str(input_name))
    names = numbered_axes(data)
    for parameter, name, index in (("axis", names[0], axis), ("trigger", names[-1], trigger)):
        if index is None:
            continue
        _check_index(data, name, index, parameter)
        data = _taken(data, name, index)
        error = None if error is None else error.take(name, index)
    return put(work, result_name, data, error)


def _taken(data: Data, name: str, index: int) -> Data:
    if name == BATCHED and not isinstance(data, Labelled):
        return picked(data, index % size(data, name))
    return changed(data, lambda part, _: part.take(name, index))


def heralding(
    work: Work,
    *,
    input_name: Any,
    herald_classified_name: Any,
    result_name: Any,
    rep_index: Any = None,
    elem_index: Any = None,
    target_state: Any = 0,
) -> Work:
    """Mark the shots that did not start in `target_state` for every readout; all others are kept."""
    data = look_up(work, input_name)
    if not {"repetition", "element"} <= set(data.axes):
        raise ProcessingError(
            f"input_name is {str(input_name)!r} with the axes [{', '.join(data.axes)}]: "
            "heralding needs repetition and element"
        )
    for parameter, index, name in (
        ("rep_index", rep_index, "repetition"),
        ("elem_index", elem_index, "element"),
    ):
        if index is not None and named_axis(data, index, parameter) != name:
            raise ProcessingError(f"{parameter} is {index!r}: that is {named_axis(data, index)}, not {name}")
    if work.n_triggers < 2:
        work = note(work, "heralding skipped: the sequence has no herald trigger, every shot is kept")
        work = put(work, result_name, data)
        herald = str(herald_classified_name)
        stand_ins = ({str(result_name)} - {str(input_name)}) | {herald}
        return replace(work, stand_ins=work.stand_ins | stand_ins, heralds=work.heralds | {herald})
    heralds = levels_of(work, herald_classified_name, "herald_classified_name")
    kept = counting.passing(heralds, _level(work, target_state, "target_state"))
    work = put(work, result_name, _discarded(data, kept))
    if work.kept is not None:
        kept = Labelled(kept.values & work.kept.values, kept.axes)
    work = replace(work, kept=kept, heralds=work.heralds | {str(herald_classified_name)})
    return _report_heralding(work, kept)


def average_axis(work: Work, *, input_name: Any, result_name: Any, axis: Any = 0) -> Work:
    """Average over one axis, leaving out what was discarded."""
    data = look_up(work, input_name)
    name = named_axis(data, axis)
    if isinstance(data, Labelled):
        return put(work, result_name, *counting.average(data, name))
    if name != BATCHED:
        return put(work, result_name, changed(data, lambda batch, _: counting.average(batch, name)[0]))
    moments = gather(
        data,
        lambda batch: counting.moments(batch, BATCHED),
        total,
        memory=work.memory,
        key=work.step,
    )
    axes = tuple(other for other in data.axes if other != BATCHED)
    return put(work, result_name, *counting.mean_and_error(moments, axes))


def individual_correction(work: Work, *, corr_matrix: Any, input_name: Any, result_name: Any) -> Work:
    """Correct each readout's populations by the inverse of its readout matrix."""
    labels = levels_of(work, input_name)
    matrices = matrices_of(work, corr_matrix, "corr_matrix")
    population, error = counting.individual(labels, matrices, work.n_levels)
    return replace(put(work, result_name, population, error), corrected=(population, error))


def correlated_bins(work: Work, *, resonators: Any, input_name: Any, result_name: Any) -> Work:
    """Count the combinations of levels; the first of `resonators` is the most significant digit."""
    chosen = _resonators(work, resonators)
    missing = [label for label in chosen if label not in work.readouts]
    if missing:
        return leave_out(
            work, result_name, f"{result_name} left out: the sequence does not read {', '.join(missing)}"
        )
    rows = [work.readouts.index(label) for label in chosen]
    labels = levels_of(work, input_name)
    bins, n = counting.joint_bins(labels, rows, work.n_levels, f"joint_{result_name}")
    bins, error = counting.joint(bins, n, None)
    work = put(work, result_name, bins, error)
    return replace(work, bins={**work.bins, str(result_name): Bins(chosen, n)})


def joint_correction(
    work: Work, *, corr_matrix: Any, input_name: Any, result_name: Any, resonators: Any = None
) -> Work:
    """Correct joint populations, readout by readout in the order in which they were binned."""
    bins, source = look_up(work, input_name), work.bins.get(str(input_name))
    if source is None or not isinstance(bins, Labelled):
        raise ProcessingError(
            f"input_name is {str(input_name)!r}, which CorrelatedBins did not make",
            hint=f"there are {', '.join(sorted(work.bins)) or 'none'}",
        )
    named = _resonators(work, source.readouts if resonators is None else resonators)
    if sorted(named) != sorted(source.readouts):
        raise ProcessingError(
            f"resonators are {', '.join(named)}, {input_name} was binned from {', '.join(source.readouts)}"
        )
    matrices = matrices_of(work, corr_matrix, "corr_matrix", source.readouts)
    population, error = counting.joint(bins, source.n, matrices)
    return put(work, result_name, population, error)


def save_measurement(work: Work, **_: Any) -> Work:
    """Accept it: results are always saved."""
    return work


def _fit_step(kind: str) -> Run:
    def fit_all(work: Work, *, input_name: Any = "corrected", plot: Any = None) -> Work:
        """Fit each readout's data against the x axis; an honest "no fit" where there is none."""
        data, errors = held(work, input_name, ("readout", "element"), "what is fitted"), work.errors
        if work.rehearsal or (kind == "all_xy" and len(work.x_axis) % staircase.N_PAIRS):
            return work
        if len(work.x_axis) < 3:
            return note(work, f"no fits: {len(work.x_axis)} elements are fewer than 3 points")
        error = errors[str(input_name)].values if str(input_name) in errors else [None] * len(data.values)
        fits = dict(work.fits)
        for label, y, dy in zip(work.readouts, data.values, error, strict=True):
            found = {**fitting.fit(kind, work.x_axis, y, dy), "input": str(input_name)}
            fits[label] = fitting.with_best({**fits.get(label, {}), kind: found})
        return replace(work, fits=fits)

    return fit_all


def _resonators(work: Work, resonators: Any) -> tuple[str, ...]:
    if not isinstance(resonators, Sequence) or isinstance(resonators, str) or not resonators:
        raise ProcessingError(f"resonators is {resonators!r}, expected a list such as [R5, R6]")
    chosen = tuple(readout_label(label) for label in resonators)
    for label in chosen:
        if label not in work.labels or chosen.count(label) > 1:
            why = "named twice" if label in work.labels else f"not one of {', '.join(work.labels)}"
            raise ProcessingError(f"resonators name {label}, {why}")
    return chosen


def _discarded(data: Data, kept: Labelled) -> Data:
    """Return `data` with the shots marked that are not in `kept` [repetition, element]."""
    return changed(
        data, lambda part, repetitions: counting.discard(part, Labelled(kept.values[repetitions], kept.axes))
    )


def _level(work: Work, level: Any, parameter: str) -> int:
    if level not in range(work.n_levels) or isinstance(level, bool):
        raise ProcessingError(f"{parameter} is {level!r}, the classifier tells 0 to {work.n_levels - 1}")
    return int(level)


def _check_index(data: Data, name: str, index: Any, parameter: str) -> None:
    if name not in data.axes:
        raise ProcessingError(f"{parameter} is {index!r}, but axis took the only axis, {name}")
    n = size(data, name)
    if not isinstance(index, int) or isinstance(index, bool) or not -n <= index < n:
        raise ProcessingError(f"{parameter} is {index!r}, the axis {name} has {n}: 0 to {n - 1}")


def _report_heralding(work: Work, kept: Labelled) -> Work:
    n_kept, n_shots = kept.values.sum(axis=0), len(kept.values)
    if not n_kept.size or not n_shots:
        return work
    fewest = int(n_kept.argmin())
    work = note(
        work,
        f"heralding kept {n_kept.mean() / n_shots:.1%} of the shots, "
        f"fewest in element {fewest}: {n_kept[fewest]} of {n_shots}",
    )
    empty = np.flatnonzero(n_kept == 0)
    if empty.size:
        listed = ", ".join(str(element) for element in empty[:10]) + (", …" if empty.size > 10 else "")
        work = note(work, f"no shot passed heralding in element {listed}: no populations there")
    return work


STEPS: Mapping[str, Run] = {
    "Heterodyne": heterodyne,
    "IQRotation": iq_rotation,
    "GMM": gmm,
    "AxisTriggerSelector": axis_trigger_selector,
    "Heralding": heralding,
    "AverageAxis": average_axis,
    "IndividualReadoutCorrection": individual_correction,
    "CorrelatedBins": correlated_bins,
    "JointReadoutCorrection": joint_correction,
    "FitExpAll": _fit_step("exp"),
    "FitSinExpAll": _fit_step("sin_exp"),
    "FitCosAll": _fit_step("cos"),
    "FitRabiAll": _fit_step("rabi"),
    "FitRamseyBeatAll": _fit_step("beat"),
    "FitAllXYAll": _fit_step("all_xy"),
    "FitRBAll": _fit_step("rb"),
    "SaveMeasurement": save_measurement,
}
