"""A chain as the configuration tells it: categories of steps, in the order of their names.

The document ``adc`` holds ``processing: {category: {enable, step: {enable, type, kwargs}}}``. The
names sort the steps (hence their prefixes ``00_``, ``05_``), and what is not enabled is not looked
at. Everything enabled is checked here, before any data are there: an unknown type, an unknown or
missing parameter is a `ProcessingError` that names the step.

``Eval`` steps run text from a file as a program. They are never run: `chain_steps` leaves them out
and `never_run` says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qtrl_spool.errors import ProcessingError, did_you_mean
from qtrl_spool.processing.steps import STEPS
from qtrl_spool.processing.work import labels_in

NEVER_RUN = "Eval"


@dataclass(frozen=True)
class Step:
    """One enabled step of a chain.

    Attributes
    ----------
    name:
        Its path below ``processing``, such as ``00_simple_readout/055_GMM``.
    type:
        A name of `STEPS`.
    kwargs:
        Its parameters, variables resolved.
    """

    name: str
    type: str
    kwargs: Mapping[str, Any]

    @property
    def where(self) -> str:
        """Where the step stands, for messages."""
        return f"adc/processing/{self.name} ({self.type})"


def chain_steps(adc_tree: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the enabled steps in the order in which they run.

    Parameters
    ----------
    adc_tree:
        The effective document ``adc``.
    """
    steps = tuple(step for step in _enabled(adc_tree) if step.type != NEVER_RUN)
    for step in steps:
        _check(step)
    return steps


def never_run(adc_tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which steps are never run, as one sentence; none if there are none."""
    names = [step.name for step in _enabled(adc_tree) if step.type == NEVER_RUN]
    if not names:
        return ()
    steps = "step" if len(names) == 1 else "steps"
    return (
        f"adc/processing: {steps} {', '.join(names)} of type Eval skipped: "
        "text from a file is never run as a program",
    )


def readout_labels(adc_tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the readouts that the chain knows, such as ``R6``, in its order; () without Heterodyne."""
    for step in _all(adc_tree):
        if step.type == "Heterodyne" and "freq_labels" in step.kwargs:
            try:
                return labels_in(step.kwargs["freq_labels"])
            except ProcessingError as error:
                raise ProcessingError(error.message, where=step.where, hint=error.hint) from error
    return ()


def readout_order(adc_tree: Mapping[str, Any], read: Iterable[str]) -> tuple[str, ...]:
    """Return the readouts that a sequence reads in the order of ``freq_labels``.

    Raises
    ------
    ProcessingError
        If the sequence reads one that the chain does not demodulate.
    """
    wanted, known = set(read), readout_labels(adc_tree)
    if not known:
        return tuple(sorted(wanted))
    for label in sorted(wanted - set(known)):
        raise ProcessingError(
            f"the sequence reads {label}, which freq_labels does not have: {', '.join(known)}",
            where="adc/processing (Heterodyne)",
            hint="do not read it, or add it to freq_labels, with its rows in every step",
        )
    return tuple(label for label in known if label in wanted)


def _all(adc_tree: Mapping[str, Any], *, only_enabled: bool = False) -> Iterator[Step]:
    categories = adc_tree.get("processing") or {}
    if not isinstance(categories, Mapping):
        raise ProcessingError(f"{categories!r} is no mapping of categories", where="adc/processing")
    for category, steps in sorted(categories.items(), key=_by_name):
        if not isinstance(steps, Mapping):
            raise ProcessingError(f"{steps!r} is no category of steps", where=f"adc/processing/{category}")
        if only_enabled and not steps.get("enable", True):
            continue
        for name, entry in sorted(steps.items(), key=_by_name):
            if name == "enable" or (
                only_enabled and isinstance(entry, Mapping) and not entry.get("enable", True)
            ):
                continue
            yield _step(f"{category}/{name}", entry)


def _enabled(adc_tree: Mapping[str, Any]) -> Iterator[Step]:
    return _all(adc_tree, only_enabled=True)


def _by_name(item: tuple[Any, Any]) -> str:
    return str(item[0])


def _step(name: str, entry: Any) -> Step:
    where = f"adc/processing/{name}"
    if not isinstance(entry, Mapping) or "type" not in entry:
        raise ProcessingError("a step needs a type", where=where)
    for key in entry:
        if key not in ("enable", "type", "kwargs"):
            hint = did_you_mean(key, ("enable", "type", "kwargs"))
            raise ProcessingError(f"a step has no {key!r}", where=where, hint=hint)
    kwargs = entry.get("kwargs") or {}
    if not isinstance(kwargs, Mapping):
        raise ProcessingError(f"kwargs is {kwargs!r}, expected a mapping of parameters", where=where)
    return Step(name, str(entry["type"]), kwargs)


def _check(step: Step) -> None:
    if step.type not in STEPS:
        hint = did_you_mean(step.type, STEPS) or f"known are {', '.join(STEPS)}"
        raise ProcessingError(f"unknown type {step.type!r}", where=step.where, hint=hint)
    _, *parameters = inspect.signature(STEPS[step.type]).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for name in step.kwargs:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
            raise ProcessingError(f"{step.type} has no parameter {name!r}", where=step.where, hint=hint)
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in step.kwargs:
            raise ProcessingError(f"{step.type} needs the parameter {parameter.name!r}", where=step.where)
