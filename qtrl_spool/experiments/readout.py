"""How a sequence ends, and with heralding how it begins: the readout pulses and their triggers.

The digitizer is triggered a fixed time after the readout pulse starts, which is the electrical
delay of the lines. With a herald each element has two triggers: 0 is the herald, the last one is
the readout.
"""

from __future__ import annotations

from typing import Any

from qtrl_spool.experiments.names import Qubits, readout_names
from qtrl_spool.sequence import SequenceWrapper

TRIGGER_DELAY = 130e-9
"""s, from the start of a readout pulse to the digitizer's trigger."""
READOUT_TAIL = 10e-9
"""s, after a readout pulse, before the element may end."""
HERALD_LEAD = 10e-9
"""s, before a herald pulse."""
HERALD_RING_DOWN = 10e-6
"""s, from the end of a herald pulse to 'Start': the resonators must be empty again."""

_TRIGGER = "Readout/Trigger"


def add_readout(
    seq: SequenceWrapper, reference: str, readout: Qubits, *, element: Any = None, herald: bool = False
) -> None:
    """Append the readout of some qubits at `reference`, with its trigger.

    Parameters
    ----------
    seq:
        The sequence that is appended to.
    reference:
        Where the readout pulses start, a reference that ``append`` or ``sweep`` returned.
    readout:
        The qubits to read: ``6``, ``'Q6'`` or a list of these.
    element:
        The elements that are read; all by default.
    herald:
        Whether the same qubits are also read before 'Start', see `add_herald`.
    """
    where = _of(element)
    if herald:
        add_herald(seq, readout, element=element)
    seq.append(_TRIGGER, start=reference, start_delay=TRIGGER_DELAY, **where)
    for label in readout_names(readout):
        seq.append(f"Readout/{label}", start=reference, end_delay=READOUT_TAIL, **where)


def add_herald(seq: SequenceWrapper, readout: Qubits, *, element: Any = None) -> None:
    """Append a readout of some qubits before 'Start', with its trigger.

    Parameters
    ----------
    seq, readout, element:
        As for `add_readout`.
    """
    where = _of(element)
    starts = [
        seq.append(
            f"Readout/{label}",
            end="Start",
            start_delay=HERALD_LEAD,
            end_delay=HERALD_RING_DOWN,
            **where,
        )[0]
        for label in readout_names(readout)
    ]
    seq.append(_TRIGGER, start=starts[0], start_delay=HERALD_LEAD + TRIGGER_DELAY, **where)


def _of(element: Any) -> dict[str, Any]:
    return {} if element is None else {"element": element}
