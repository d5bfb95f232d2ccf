"""The usual experiments, each a function that returns a SequenceWrapper ready to submit.

They need no configuration at hand: a sequence holds pulse keys, and the server's configuration
says what the keys mean. All arguments are in SI units (seconds, Hz).

>>> from qtrl_spool.experiments import rabi
>>> seq = rabi(6, n_elements=51, step_size=20e-9)

Every function but `zz` and `cross_resonance`, which are about two coupled qubits, takes

``qubits``
    Whom it is about: ``6``, ``'Q6'`` or a list of these. Several qubits do the same at the same time.
``readout``
    The qubits that are read out at the end, by default the same ones.
``herald``
    Whether the same qubits are also read out before everything else, so that the processing can
    discard the repetitions that did not start in the ground state.

Pulses of several qubits that belong to one step end together, the longest one giving the step its
length; so the readout follows the last of them. What a sequence holds is fixed when it is built:
a patch of ``readout/heralding`` does not change it.

Limits: a step of several qubits whose pulses differ in width waits a little longer before the
shorter ones, by that difference.
"""

from __future__ import annotations

from qtrl_spool.experiments.benchmarking import rb
from qtrl_spool.experiments.calibration import chevron, drag, pi_train, three_levels
from qtrl_spool.experiments.coherence import echo, interleaved_coherence, ramsey, t1
from qtrl_spool.experiments.coupled import cross_resonance, zz
from qtrl_spool.experiments.names import Qubits, qubit_names, readout_names
from qtrl_spool.experiments.readout import add_herald, add_readout
from qtrl_spool.experiments.rotations import ALL_XY_PAIRS, all_xy, pi_no_pi, rabi

__all__ = [
    "ALL_XY_PAIRS",
    "Qubits",
    "add_herald",
    "add_readout",
    "all_xy",
    "chevron",
    "cross_resonance",
    "drag",
    "echo",
    "interleaved_coherence",
    "pi_no_pi",
    "pi_train",
    "qubit_names",
    "rabi",
    "ramsey",
    "rb",
    "readout_names",
    "t1",
    "three_levels",
    "zz",
]
