"""What passes between the main loop and the three stages: orders one way, reports the other.

An `Order` is one job on its way; an `Execution` is an order that is being acquired, with its data.
Reports are what a stage says to the main loop, which alone changes states.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtrl_spool import run
from qtrl_spool.backends import Backend
from qtrl_spool.bundle import Bundle
from qtrl_spool.config import Configuration
from qtrl_spool.errors import QtrlSpoolError, StorageError
from qtrl_spool.gathered import Data
from qtrl_spool.results.space import Reservation
from qtrl_spool.spool.tickets import Place


@dataclass(frozen=True)
class Before:
    """What a paused job measured before.

    Attributes
    ----------
    data:
        Its batches.
    seed:
        That it began with, if it is simulated.
    program_sha256:
        Of the program that measured them: another program starts over.
    """

    data: Data
    seed: int | None
    program_sha256: str


@dataclass(frozen=True, eq=False)
class Order:
    """One job on its way through the stages.

    Attributes
    ----------
    waiting:
        Its ticket in ``queue/``.
    place:
        Where the claim puts the ticket.
    mark:
        What the ticket's file looked like when the bundle was read.
    home:
        The job's home.
    bundle:
        What to run.
    default:
        The default configuration at the version that counts for this job.
    identity:
        Root attributes of the result, all but the attempt.
    n_attempts:
        How often it was started before.
    started:
        When it was first acquired, if it goes on after a pause.
    notes:
        Events to write before the claim's own.
    is_paused:
        Whether it goes on where it was paused.
    before:
        What it measured before its pause, where this server still has that.
    is_current:
        Returns whether the default configuration is still the one that counts.
    halt, cancel, abort:
        Set to stop it after its batch; to stop it whatever it does, for good; to give up the batch.
    """

    waiting: Place
    place: Place
    mark: str
    home: Path
    bundle: Bundle
    default: Configuration
    identity: dict[str, Any]
    n_attempts: int
    started: str | None
    notes: tuple[Mapping[str, Any], ...]
    is_paused: bool
    before: Before | None
    is_current: Callable[[], bool]
    halt: threading.Event = field(default_factory=threading.Event)
    cancel: threading.Event = field(default_factory=threading.Event)
    abort: threading.Event = field(default_factory=threading.Event)

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self.place.ticket.job_id


@dataclass(frozen=True, eq=False)
class Ready:
    """An order that can be acquired at once: report of the first stage, order for the second.

    Attributes
    ----------
    order:
        The job.
    prepared, plan:
        The job compiled, and what its backend made of that.
    backend:
        Whose plan it is.
    before:
        What it measured before its pause, if it goes on.
    data:
        Where what it measures goes; made when it is handed over.
    room:
        Room for its result, set apart then.
    """

    order: Order
    prepared: run.Prepared
    plan: Any
    backend: Backend
    before: Before | None
    data: Data = field(default_factory=Data)
    room: Reservation = field(default_factory=lambda: Reservation(0))

    @property
    def attempt(self) -> int:
        """Number of this execution: going on after a pause is the same one."""
        return self.order.n_attempts + (self.before is None)

    @property
    def identity(self) -> dict[str, Any]:
        """Root attributes of the result."""
        return {**self.order.identity, "attempt": self.attempt}


@dataclass(eq=False)
class Execution:
    """A job that is or was acquired, with its data: what the third stage needs.

    Attributes
    ----------
    ready:
        The job.
    data:
        What was measured so far.
    started:
        When the backend first acquired, as records write it.
    partial_due:
        When the partial result may be written again, s of the monotonic clock.
    said:
        What was said of its writing so far: it is not said again when it is tried again.
    """

    ready: Ready
    data: Data
    started: str
    partial_due: float = 0.0
    said: set[str] = field(default_factory=set)

    @property
    def order(self) -> Order:
        """Whose data they are."""
        return self.ready.order

    @property
    def n_batches(self) -> int:
        """Batches of the whole job."""
        return self.ready.prepared.settings.n_batches


# ---------------------------------------------------------------- reports


@dataclass(frozen=True)
class Connected:
    """The instrument is open: jobs can be prepared for it."""

    backend: Backend


@dataclass(frozen=True)
class Unwell:
    """The instrument cannot measure at present; the order that it was asked for is given back, if any."""

    reason: str
    ready: Ready | None = None


@dataclass(frozen=True)
class CheckUp:
    """Order to ask the instrument how it is, while no job is taken."""


@dataclass(frozen=True)
class Well:
    """The instrument can measure again."""


@dataclass(frozen=True)
class Unfit:
    """The job cannot be prepared."""

    order: Order
    error: QtrlSpoolError
    details: str


@dataclass(frozen=True)
class NotBegun:
    """The claim was lost, came to nothing, or was in vain; nothing was acquired."""

    order: Order
    trouble: StorageError | None = None


@dataclass(frozen=True)
class Begun:
    """The job is claimed and these events are written; the acquisition has begun."""

    execution: Execution
    events: tuple[Mapping[str, Any], ...]

    @property
    def order(self) -> Order:
        """Whose."""
        return self.execution.order


@dataclass(frozen=True)
class Batch:
    """A batch was acquired."""

    order: Order
    batch: int
    n_batches: int


@dataclass(frozen=True)
class Acquired:
    """All batches are there."""

    execution: Execution

    @property
    def order(self) -> Order:
        """Whose."""
        return self.execution.order


@dataclass(frozen=True)
class Halted:
    """The job was told to stop, and did; what it measured is kept."""

    execution: Execution

    @property
    def order(self) -> Order:
        """Whose."""
        return self.execution.order


@dataclass(frozen=True)
class Failed:
    """The job failed with this error; `execution` holds what it measured, if it got so far."""

    order: Order
    error: QtrlSpoolError
    details: str
    execution: Execution | None = None


@dataclass(frozen=True)
class Phase:
    """The third stage begins with ``processing`` or ``saving``."""

    order: Order
    phase: str


@dataclass(frozen=True)
class Trouble:
    """What was measured cannot be written yet; the stage tries again by itself."""

    order: Order
    error: QtrlSpoolError


@dataclass(frozen=True)
class Finished:
    """The result lies in the job's home under the claim's name."""

    order: Order


@dataclass(frozen=True)
class Kept:
    """What was measured so far lies in the job's home as its partial result, synced."""

    execution: Execution

    @property
    def order(self) -> Order:
        """Whose."""
        return self.execution.order


Report = (
    Connected
    | Unwell
    | Well
    | Ready
    | Unfit
    | NotBegun
    | Begun
    | Batch
    | Acquired
    | Halted
    | Failed
    | Phase
    | Trouble
    | Finished
    | Kept
)
