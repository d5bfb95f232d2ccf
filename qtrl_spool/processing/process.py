"""Runs a chain over the data of a job, and says which of its results are the job's.

``state`` is the last classification that is no herald; ``population`` and ``population_err`` keep
all levels of the last correction, or of ``state`` where nothing was corrected; ``kept`` is there
where heralding selects. Every other result keeps its ``result_name``, its standard error that name
with ``_err``. The rotated points of the Heterodyne step are not repeated: ``iq`` holds the points.

The points come batch by batch, and no more than one batch of them is in memory at a time. What there is
one of for each shot (labels, ``kept``) is held, a byte each; what is as large as the points is made anew
whenever somebody asks for it (`Processed.points`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, STATE_AXES, Batches, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import counting
from qtrl_spool.processing.chain import Step, chain_steps, readout_labels, readout_order
from qtrl_spool.processing.demodulation import heterodyne, known_frequencies
from qtrl_spool.processing.steps import STEPS
from qtrl_spool.processing.streams import Memory, changed, size
from qtrl_spool.processing.work import Work, is_labels, leave_out, number

POINTS = "Heterodyne"


@dataclass(frozen=True)
class Processed:
    """What a chain makes of the data.

    Attributes
    ----------
    variables:
        ``state`` (axes `STATE_AXES`, int8, -1 = discarded), ``population`` and ``population_err``
        (axes `POPULATION_AXES`, float32), ``kept`` (bool; axes: repetition, element), and the
        other results of the chain under their names.
    fits:
        For each readout each kind of fit (``exp``, ``sin_exp``, ``cos``) and the name of the best.
    notes:
        What was left out, and why; sentences.
    points:
        Results that are as large as the data, such as ``Heralded_Heterodyne``, under their names, batch
        by batch; made of the data anew whenever they are asked for.
    classifier:
        For each readout the record of its classifier, see `qtrl_spool.processing.classifier.record`.
    coordinates:
        Labels along the axes that are not those of the data, such as ``joint_56``: ``00``, ``01``, …
    """

    variables: Mapping[str, Labelled]
    fits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    coordinates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    points: Mapping[str, Batches] = field(default_factory=dict)
    classifier: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def demodulate(raw: Labelled, adc_tree: Mapping[str, Any], readouts: tuple[str, ...]) -> Labelled:
    """Return the IQ points of one batch of raw traces, by the chain's Heterodyne step.

    Parameters
    ----------
    raw:
        Axes `RAW_AXES`; one batch, whose mean is taken off.
    adc_tree:
        The effective document ``adc``.
    readouts:
        Those to demodulate, in the order of ``freq_labels``.
    """
    step = next((step for step in chain_steps(adc_tree) if step.type == "Heterodyne"), None)
    if step is None:
        raise ProcessingError(
            "the backend gave raw traces, and no enabled Heterodyne step demodulates them",
            where="adc/processing",
        )
    try:
        return _demodulate(raw, step, readouts, adc_tree)
    except ProcessingError as error:
        raise _at(step, error) from error


def _demodulate(
    raw: Labelled, step: Step, readouts: tuple[str, ...], adc_tree: Mapping[str, Any]
) -> Labelled:
    settings = adc_tree.get("hardware_settings") or {}
    rate = number(step.kwargs.get("sample_rate") or settings.get("sample_rate"), "sample_rate")
    known = known_frequencies(step.kwargs["freq_labels"], step.kwargs["frequencies"])
    readout_order(adc_tree, readouts)
    return heterodyne(raw, np.asarray([known[label] for label in readouts], np.float64), rate)


def demodulated(raw: Batches, adc_tree: Mapping[str, Any], readouts: tuple[str, ...]) -> Batches:
    """Return the IQ points of raw traces, each batch demodulated when it is asked for; see `demodulate`."""
    return cast(Batches, changed(raw, lambda batch, _: demodulate(batch, adc_tree, readouts)))


def process(
    iq: Batches,
    adc_tree: Mapping[str, Any],
    *,
    readouts: tuple[str, ...],
    x_axis: NDArray[Any],
    memory: Memory | None = None,
) -> Processed:
    """Run the chain of `adc_tree` over the points of a job.

    Parameters
    ----------
    iq:
        Points as demodulated, before rotation; axes `IQ_AXES`.
    adc_tree:
        The effective document ``adc``.
    readouts:
        Labels along the axis readout, in the order of ``freq_labels``.
    x_axis:
        Value of each element.
    memory:
        One for each job whose points are processed again and again as their number grows: batches that
        were there at an earlier call are not looked at again.

    Raises
    ------
    ProcessingError
        If a step cannot do what it is told; names the step and the parameter.
    """
    _check_data(iq, readouts, x_axis)
    work = Work(
        readouts=tuple(readouts),
        labels=readout_labels(adc_tree) or tuple(readouts),
        x_axis=np.asarray(x_axis, np.float64),
        n_triggers=size(iq, "trigger"),
        results={POINTS: iq},
        memory=memory or Memory(),
    )
    return _processed(run_all(work, adc_tree))


def run_all(work: Work, adc_tree: Mapping[str, Any]) -> Work:
    """Return what all steps of the chain make of the points."""
    readout_order(adc_tree, work.readouts)
    for step in chain_steps(adc_tree):
        work = _run(work, step)
    return work


def _check_data(iq: Batches, readouts: tuple[str, ...], x_axis: NDArray[Any]) -> None:
    if iq.axes != IQ_AXES:
        raise ProcessingError(f"IQ points have the axes {iq.axes}, expected {IQ_AXES}")
    if size(iq, "readout") != len(readouts):
        raise ProcessingError(f"IQ points of {size(iq, 'readout')} readouts, named are {', '.join(readouts)}")
    if size(iq, "element") != len(x_axis):
        raise ProcessingError(f"IQ points of {size(iq, 'element')} elements, the x axis has {len(x_axis)}")


def _run(work: Work, step: Step) -> Work:
    source = str(step.kwargs.get("input_name"))
    if source in work.left_out and source not in work.results:
        result = str(step.kwargs.get("result_name"))
        return leave_out(work, result, f"{step.name} left out, as {source} is")
    try:
        return STEPS[step.type](replace(work, step=f"{step.name} {step.kwargs}"), **step.kwargs)
    except ProcessingError as error:
        raise _at(step, error) from error


def _at(step: Step, error: ProcessingError) -> ProcessingError:
    return ProcessingError(error.message, where=error.where or step.where, hint=error.hint)


def _processed(work: Work) -> Processed:
    chosen, state = _state(work)
    variables: dict[str, Labelled] = {}
    if state is not None:
        population, error = work.corrected or counting.individual(state, None, work.n_levels)
        variables = {"state": state, "population": population, "population_err": error}
    if work.kept is not None:
        variables["kept"] = work.kept
    points: dict[str, Batches] = {}
    for name, data in work.results.items():
        if name in (POINTS, chosen) or name in work.stand_ins:
            continue
        if not isinstance(data, Labelled):
            points[name] = data
            continue
        variables[name] = data
        if name in work.errors:
            variables[f"{name}_err"] = work.errors[name]
    return Processed(variables, dict(work.fits), work.notes, _coordinates(work), points, work.classifier)


def _state(work: Work) -> tuple[str | None, Labelled | None]:
    """Return the last classification that is no herald, with its name if it has one of its own."""
    for name, data in reversed(list(work.results.items())):
        if is_labels(data) and name not in work.heralds:
            return name, data
    for data in reversed(list(work.results.values())):
        if isinstance(data, Labelled) and data.axes == (*STATE_AXES, "trigger"):
            return None, data.take("trigger", -1)
    return None, None


def _coordinates(work: Work) -> dict[str, tuple[str, ...]]:
    coordinates = {}
    for name, bins in work.bins.items():
        digits = product(range(work.n_levels), repeat=len(bins.readouts))
        coordinates[f"joint_{name}"] = tuple("".join(map(str, entry)) for entry in digits)
    return coordinates
