"""Backends: what plays a compiled program and brings back data.

A backend is any class without constructor arguments that has the methods of `Backend`. It is found
by its name in the entry-point group ``qtrl_spool.backends``; the built-in ``simulator`` is found
even when the package runs from a plain checkout that was never installed.

The life of a backend, one line a hook, in the order of the calls::

    connect   once, before the first job: open the instruments
    health    before each job: why the instrument cannot measure now ("fridge warm"), None if it can
    prepare   once a job, in a thread of its own, *while another job is acquired*: work out all that can be
              worked out without touching the instrument; returns a plan
    arm       once a job, before its first batch, and again when it goes on after a pause: upload the plan
    acquire   once a batch: play, return what was digitised; blocks; watches `should_stop`
    abort     at any time, from another thread: make a blocked `acquire` come back soon
    release   once, when the server ends (and after an error): leave everything in a safe state

Between the last batch of one job and the first of the next stands only `arm`, so `arm` should be quick.
Called by `qtrl_spool.run` and the server, which turn whatever a backend raises into a failed job.
A backend raises `BackendError` for what the lab admin can mend, `ConfigError` for a configuration
that it cannot carry out, and `AbortedError` when it was told to stop.

Known limits: one job at a time; a backend that ignores `should_stop` is only stopped between batches,
or given up and replaced by another one when its job takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, cast, runtime_checkable

from qtrl_spool.errors import BackendError, UsageError, did_you_mean
from qtrl_spool.measurement import Acquired, Capabilities, Measurement

GROUP = "qtrl_spool.backends"
BUILT_IN = {"simulator": "qtrl_spool.backends.simulator:Simulator"}


@runtime_checkable
class Backend(Protocol):
    """What every backend can do: see the module's page for when each hook is called.

    Attributes
    ----------
    capabilities:
        What the instrument can do; known from `connect` on.
    """

    capabilities: Capabilities

    def connect(self) -> None:
        """Open the instruments; raise `BackendError` when one does not answer."""

    def health(self) -> str | None:
        """Return why the instrument cannot measure at present, in a few words; None if it can."""

    def prepare(self, measurement: Measurement) -> Any:
        """Return the plan of a job: whatever `arm` wants; it may have a `seed`, which the result then tells.

        Raise `ConfigError` for what the instrument cannot do. The instrument measures something else
        meanwhile: it must not be touched.
        """

    def arm(self, plan: Any) -> None:
        """Make the instrument ready to acquire the batches of this plan."""

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
        Name of an entry point of the group ``qtrl_spool.backends``, ``simulator``, or where to import it
        from: ``mylab.fridge:Fridge``.

    Raises
    ------
    UsageError
        If there is no such backend.
    BackendError
        If its package cannot be imported.
    """
    known = {**_known(), **({name: EntryPoint(name, name, GROUP).load} if ":" in name else {})}
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


__all__ = ["Acquired", "Backend", "Capabilities", "Measurement", "load_backend"]
