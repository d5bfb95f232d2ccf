"""What passes between a job and a backend: what to measure, what an instrument can do, what came back.

Called by `qtrl_spool.run`, which asks, and by `qtrl_spool.backends`, which answers. Pure records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import Labelled
from qtrl_spool.errors import BackendError

if TYPE_CHECKING:
    from qtrl_spool.config import AcquisitionSettings, Configuration
    from qtrl_spool.sequence import Program


@dataclass(frozen=True)
class Capabilities:
    """What an instrument can do. A job beyond it is refused before the instrument is touched.

    Attributes
    ----------
    n_channels:
        Analog outputs; None for any number.
    sample_rates:
        Samples/s that it can play; None for any.
    max_samples:
        Samples that one channel's memory holds for an element; None for any number.
    data:
        What it can return: ``iq``, ``raw``, or both.
    sample_bytes:
        Bytes of one sample of a raw trace: 2 for int16, 4 for float32. So much room is set apart.
    """

    n_channels: int | None = None
    sample_rates: tuple[float, ...] | None = None
    max_samples: int | None = None
    data: frozenset[str] = frozenset({"iq", "raw"})
    sample_bytes: int = 4


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a backend is asked to measure: one job.

    Attributes
    ----------
    program:
        The waveforms, as distinct envelopes and a table of which plays when.
    config:
        The job's effective configuration.
    settings:
        Repetitions of a batch, batches, samples of a trace and whether raw traces are wanted.
    triggers:
        Digitizer triggers, in samples from the start of the element, int64 [element, trigger].
    readouts:
        Labels of the readouts of this sequence, such as ``R6``, in the order of ``freq_labels``.
    seed:
        Of a simulating backend: the one that this job began with, when it goes on after a pause.
    """

    program: Program
    config: Configuration
    settings: AcquisitionSettings
    triggers: NDArray[np.int64]
    readouts: tuple[str, ...]
    seed: int | None = None


@dataclass(frozen=True)
class Acquired:
    """The data of one batch: at least one of the two.

    Attributes
    ----------
    iq:
        Demodulated, integrated points [readout, repetition, element, trigger, quadrature], float32,
        in units of the ADC, before any rotation.
    raw:
        Digitised traces [quadrature, repetition, element, trigger, point], in units of the ADC.
    """

    iq: Labelled | None = None
    raw: Labelled | None = None

    def __post_init__(self) -> None:
        if self.iq is None and self.raw is None:
            raise BackendError("a batch came back with neither IQ points nor raw traces")
