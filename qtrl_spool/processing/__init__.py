"""From demodulated IQ points to states, populations and fits, by the lab's own chain.

Pure: batches of arrays with named axes in, arrays with named axes out; no disk, clock or randomness.
Memory: one batch, and a few bytes for each shot, however many batches there are.
``run.py`` calls `demodulate` (when the backend gives raw traces) and `process`; ``check`` and the
configuration's loader call `chain_steps` and `warnings`. A step that cannot do what it is told
raises `ProcessingError` naming the step, the parameter and the axis; what a step leaves out on
purpose (no herald trigger, a qubit that is not read) is said in ``Processed.notes``.

Known limit: the classifier is not calibrated from the data.
"""

from __future__ import annotations

from qtrl_spool.processing.chain import Step, chain_steps, readout_labels, readout_order, warnings
from qtrl_spool.processing.process import Processed, demodulate, process
from qtrl_spool.processing.streams import Memory

__all__ = [
    "Memory",
    "Processed",
    "Step",
    "chain_steps",
    "demodulate",
    "process",
    "readout_labels",
    "readout_order",
    "warnings",
]
