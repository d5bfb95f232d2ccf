"""Sequences: pulses in time, from what a physicist writes to what an instrument plays.

The way of a sequence: appends are written down (`records`), pulse keys looked up (`library`, `lists`),
resolved to samples (`resolve`, `envelopes`), references placed (`place`), all put together (`compile`,
`virtual`) as a `Program`, which draws the dense array when asked (`render`). `form` is the file format.

Everything here is pure: no disk, no clock, no randomness.
"""

from qtrl_spool.sequence.examine import Examined, raise_all
from qtrl_spool.sequence.form import FORMAT, schema, schema_problems
from qtrl_spool.sequence.library import PulseLibrary
from qtrl_spool.sequence.limits import (
    FullScaleWarning,
    Violation,
    amplitude_problems,
    amplitude_violations,
    memory_problems,
)
from qtrl_spool.sequence.lists import sequential, simultaneous
from qtrl_spool.sequence.program import PLAY, Program, trigger_samples
from qtrl_spool.sequence.pulse import Pulse, PulseEnvelope, VirtualEnvelope
from qtrl_spool.sequence.sequence import Sequence
from qtrl_spool.sequence.wrapper import SequenceWrapper

__all__ = [
    "FORMAT",
    "PLAY",
    "Examined",
    "FullScaleWarning",
    "Program",
    "Pulse",
    "PulseEnvelope",
    "PulseLibrary",
    "Sequence",
    "SequenceWrapper",
    "Violation",
    "VirtualEnvelope",
    "amplitude_problems",
    "amplitude_violations",
    "memory_problems",
    "raise_all",
    "schema",
    "schema_problems",
    "sequential",
    "simultaneous",
    "trigger_samples",
]
