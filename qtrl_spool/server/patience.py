"""What the instrument does at present, and for how long it may: limits of a job, and a backend that hangs.

Called by the pipeline. Pure: the time is passed in. What a job allows itself is its `max_duration`, from its
claim on. A batch may take ``hang_s`` of ``spool.yaml`` and ten times what its waveforms alone take to play,
ten times as long as the longest one of its job so far, and all that its job allows itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from qtrl_spool.errors import AbortedError, BackendError, QtrlSpoolError
from qtrl_spool.server.orders import Execution, Order

BESIDES_S = 120.0
"""For how long (s) anything but a batch may take: connect, health, arm."""
_TIMES_LEARNT = 10.0


@dataclass(eq=False)
class Now:
    """The job that the instrument is busy with.

    Attributes
    ----------
    execution:
        The job.
    since:
        When it began (s, monotonic).
    batch_s, batch_at:
        Its longest batch so far (s), and when its last one ended (s, monotonic).
    gave_up:
        When its batch was given up, if it was.
    """

    execution: Execution
    since: float
    batch_s: float = 0.0
    batch_at: float = 0.0
    gave_up: float | None = None

    @property
    def order(self) -> Order:
        """Whose."""
        return self.execution.order

    def note_batch(self, now: float) -> None:
        """Learn how long a batch takes."""
        self.batch_s = max(self.batch_s, now - (self.batch_at or self.since))
        self.batch_at = now


def overdue(job: Now, what: str, since: float, now: float, *, hang_s: float) -> QtrlSpoolError | None:
    """Return why a job must be given up, if it must.

    Parameters
    ----------
    job:
        The job.
    what, since:
        What its backend was asked for, and when (s, monotonic).
    now:
        Monotonic time (s).
    hang_s:
        Least time (s) that a batch may always take.
    """
    most = job.order.bundle.manifest.max_duration
    if most is not None and now - job.since > most:
        said = f"the acquisition took longer than the {most:g} s that the job allows"
        return AbortedError(said, hint="raise max_duration, or measure less")
    limit = _of_a_batch(job, hang_s) if what == "acquire" else BESIDES_S
    return hung(what, now - since) if now - since > max(limit, most or 0.0) else None


def _of_a_batch(job: Now, hang_s: float) -> float:
    """Return for how long (s) a batch may take."""
    prepared = job.execution.ready.prepared
    played = prepared.settings.n_reps * prepared.settings.n_elements * prepared.sequence.program.duration
    return max(hang_s + _TIMES_LEARNT * played, _TIMES_LEARNT * job.batch_s)


def hung(what: str, seconds: float) -> BackendError:
    """Return the error of a job whose backend did not come back."""
    return BackendError(
        f"the backend did not come back from {what!r} within {seconds:.0f} s",
        hint="look at the instrument; a batch that may take longer needs a larger hang_s in spool.yaml",
    )
