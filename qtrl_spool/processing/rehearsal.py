"""A chain run without data: what is wrong with it is found before anything is acquired.

Called by ``run.py`` for a job, at the door and before the hardware is touched, and with the whole default
configuration by whoever makes, changes or serves one. The steps are those that will run; they are given one
repetition of zeros, and nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qtrl_spool.axes import IQ_AXES, InMemory, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing.chain import never_run, readout_labels
from qtrl_spool.processing.process import POINTS, run_all
from qtrl_spool.processing.work import Work

_N_ELEMENTS, _N_TRIGGERS = 3, 2


def rehearse(
    adc_tree: Mapping[str, Any], *, readouts: tuple[str, ...], n_elements: int, n_triggers: int
) -> None:
    """Run the chain of a job without data.

    Parameters
    ----------
    adc_tree:
        The effective document ``adc``.
    readouts:
        Labels that the sequence reads, in the order of ``freq_labels``.
    n_elements, n_triggers:
        Of the sequence.

    Raises
    ------
    ProcessingError
        As `process` would.
    """
    nothing = Labelled(np.zeros((len(readouts), 1, n_elements, n_triggers, 2), np.float32), IQ_AXES)
    work = Work(
        readouts=tuple(readouts),
        labels=readout_labels(adc_tree) or tuple(readouts),
        x_axis=np.arange(n_elements, dtype=np.float64),
        n_triggers=n_triggers,
        results={POINTS: InMemory((nothing,))},
        rehearsal=True,
    )
    run_all(work, adc_tree)


def warnings(adc_tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the lab should know of its chain: steps that are never run, one that cannot run."""
    try:
        rehearse(adc_tree, readouts=readout_labels(adc_tree), n_elements=_N_ELEMENTS, n_triggers=_N_TRIGGERS)
    except ProcessingError as error:
        return (*never_run(adc_tree), f"jobs will be refused: {error}")
    return never_run(adc_tree)
