"""Backends: what plays a compiled program and brings back data.

A backend is any class without constructor arguments that has the methods of `Backend`. It is found
by its name in the entry-point group ``qtrl_spool.backends``; the built-in ``simulator`` is found
even when the package runs from a plain checkout that was never installed.

The life of a backend, one line a hook, in the order of the calls::

    connect   once, when the server starts: open the instruments
    prepare   once a job: upload the program, set what the configuration says
    acquire   once a batch: arm, play, return what was digitised; blocks; watches `should_stop`
    abort     at any time, from another thread: make a blocked `acquire` come back soon
    release   once, when the server ends (and after an error): leave everything in a safe state

Called by `qtrl_spool.run` and the server, which turn whatever a backend raises into a failed job.
A backend raises `BackendError` for what the lab admin can mend, `ConfigError` for a configuration
that it cannot carry out, and `AbortedError` when it was told to stop.

Known limits: one job at a time; a backend that ignores `should_stop` is only stopped between batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import Labelled
from qtrl_spool.errors import BackendError, UsageError, did_you_mean

if TYPE_CHECKING:
    from qtrl_spool.config import AcquisitionSettings, Configuration
    from qtrl_spool.sequence import Program

GROUP = "qtrl_spool.backends"
BUILT_IN = {"simulator": "qtrl_spool.backends.simulator:Simulator"}


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


@runtime_checkable
class Backend(Protocol):
    """What every backend can do: see the module's page for when each hook is called."""

    def connect(self) -> None:
        """Open the instruments; raise `BackendError` when one does not answer."""

    def prepare(
        self,
        program: Program,
        config: Configuration,
        settings: AcquisitionSettings,
        triggers: NDArray[np.int64],
        readouts: tuple[str, ...],
    ) -> None:
        """Make ready to acquire batches of one job.

        Parameters
        ----------
        program:
            The waveforms, as distinct envelopes and a table of which plays when.
        config:
            The job's effective configuration.
        settings:
            Repetitions of a batch, batches, samples of a trace and whether raw traces are wanted.
        triggers:
            Digitizer triggers, in samples from the start of the element [element, trigger].
        readouts:
            Labels of the readouts of this sequence, such as ``R6``, in the order of ``freq_labels``.
        """

    def acquire(self, batch: int, should_stop: Callable[[], bool]) -> Acquired:
        """Acquire the batch of number `batch` (from 0); raise `AbortedError` once `should_stop()` is true."""

    def abort(self) -> None:
        """Make an `acquire` that blocks in another thread come back soon; harmless when none does."""

    def release(self) -> None:
        """Leave the instruments safe and closed; harmless when called twice."""


def load_backend(name: str) -> Backend:
    """Return a new backend of that name.

    Parameters
    ----------
    name:
        Name of an entry point of the group ``qtrl_spool.backends``, or ``simulator``.

    Raises
    ------
    UsageError
        If there is no such backend.
    BackendError
        If its package cannot be imported.
    """
    known = _known()
    if name not in known:
        near = did_you_mean(name, known) or f"this machine has {', '.join(sorted(known))}"
        raise UsageError(f"there is no backend {name!r}", where=f"entry points {GROUP}", hint=near)
    try:
        made = known[name]()()
    except (ImportError, AttributeError) as problem:
        raise BackendError(
            f"backend {name!r} cannot be loaded: {problem}", hint="install what it needs on this machine"
        ) from problem
    if not isinstance(made, Backend):
        raise BackendError(f"backend {name!r} lacks methods of qtrl_spool.backends.Backend")
    return made


def _known() -> Mapping[str, Callable[[], Callable[[], object]]]:
    built_in = {name: EntryPoint(name, target, GROUP).load for name, target in BUILT_IN.items()}
    found = {point.name: point.load for point in entry_points(group=GROUP)}
    return cast(Mapping[str, Callable[[], Callable[[], object]]], {**built_in, **found})
