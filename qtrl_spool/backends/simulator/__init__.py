"""The simulator: transmons driven by the compiled waveforms, read out by their resonators.

Folder by folder the way of a shot::

    describe.py   a lab's configuration -> the document `simulator`, once
    chip.py       the document -> the qubits and pairs that it describes
    drive.py      program -> the distinct drives of one qubit, and when each of them plays
    transmon.py   a drive -> how a three-level transmon evolves under it, with loss and dephasing
    evolve.py     a sequence -> the probabilities of its outcomes at every trigger
    outcomes.py   these
    probes.py     program -> the readout pulses that each trigger meets
    resonator.py  a readout pulse -> the field of the resonator over the window, and the signal
    readout.py    outcomes -> the levels of each shot, and its IQ points
    traces.py     the same shots -> raw traces
    simulator.py  the `Backend` that puts them in order

Only numpy is needed. Everything but `Simulator` is pure: random numbers come in as a generator.
"""

from qtrl_spool.backends.simulator.describe import simulator_document
from qtrl_spool.backends.simulator.simulator import Simulator

__all__ = ["Simulator", "simulator_document"]
