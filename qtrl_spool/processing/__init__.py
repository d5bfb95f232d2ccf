"""From demodulated IQ points to states, populations and fits, by the lab's own chain.

Pure: batches of arrays with named axes in, arrays with named axes out; no disk, clock or randomness.
Memory: one batch, and a few bytes for each shot, however many batches there are. docs/reference/processing.md
tells each step.

``run.py`` calls `rehearse` before there are data, `demodulate` where the backend gives raw traces, and
`process`; the configuration's loader calls `warnings`. A step that cannot do what it is told raises
`ProcessingError` naming the step, the parameter and the axis; what a step leaves out on purpose (no herald
trigger, a qubit that is not read) is said in ``Processed.notes``.
"""

from __future__ import annotations

from qtrl_spool.processing.chain import Step, chain_steps, readout_labels, readout_order
from qtrl_spool.processing.process import Processed, demodulate, demodulated, process
from qtrl_spool.processing.rehearsal import rehearse, warnings
from qtrl_spool.processing.streams import Memory

__all__ = [
    "Memory",
    "Processed",
    "Step",
    "chain_steps",
    "demodulate",
    "demodulated",
    "process",
    "readout_labels",
    "readout_order",
    "rehearse",
    "warnings",
]
