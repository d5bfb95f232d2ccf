"""The simulator: transmons driven by the compiled waveforms, read out by their resonators.

Folder by folder the way of a shot::

    chip.py       what the chip is: the `simulator` document, and the qubits that it describes
    drive.py      program -> the distinct drives of one qubit, and when each of them plays
    transmon.py   a drive -> how a three-level transmon evolves under it, with loss and dephasing
    evolve.py     a sequence -> the probabilities of its outcomes at every trigger
    readout.py    outcomes -> IQ points and raw traces
    simulator.py  the `Backend` that puts them in order

Only numpy is needed. Everything but `Simulator` is pure: random numbers come in as a generator.
"""

from qtrl_spool.backends.simulator.chip import simulator_document
from qtrl_spool.backends.simulator.simulator import Simulator

__all__ = ["Simulator", "simulator_document"]
