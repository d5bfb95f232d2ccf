"""The simulator: transmons driven by the compiled waveforms, read out by their resonators.

Folder by folder the way of a shot::

    describe.py   a lab's configuration -> the document `simulator`, once
    chip.py       the document -> the qubits and pairs that it describes
    groups.py     who is worked out alone, and who with a partner
    drive.py      program -> the distinct drives of a qubit or a pair, and when each of them plays
    timeline.py   these, waits and slow noise, laid out side by side for all elements
    transmon.py   a drive -> how a three-level transmon evolves under it, with loss and dephasing
    evolve.py     a sequence -> the probabilities of what a qubit is found in at every trigger
    coupling.py   what a coupling adds, where there is a pair
    couple.py     as evolve.py, for a pair
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
