"""The client: submit jobs, ask about them, steer them, read results and the default configuration.

A `Spool` is a folder; a `Job` is an id in it. Every question is answered from files and needs no
server; every change is a file dropped into ``incoming/`` or ``requests/``. Importing this module
loads neither numpy nor h5py, and never a backend.

Fails: with the exceptions of `qtrl_spool.errors`; a failed job raises what the server recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtrl_spool import fs
from qtrl_spool.defaults import SpoolConfig
from qtrl_spool.errors import (
    JobCancelledError,
    NotFoundError,
    QtrlSpoolError,
    StorageError,
    UsageError,
    WaitTimeoutError,
    from_record,
)
from qtrl_spool.job import DROP_SUFFIX, ID_LETTERS, State, make_id
from qtrl_spool.once_more import OnceMore, patched
from qtrl_spool.progress import showing
from qtrl_spool.requesting import ANSWER_TIMEOUT_S, Steered, ask, poll
from qtrl_spool.spool import access, find
from qtrl_spool.spool.journal import PARTIAL, read_events
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import is_durable

if TYPE_CHECKING:
    from qtrl_spool.bundle import Bundle
    from qtrl_spool.config import Configuration
    from qtrl_spool.results import Result
    from qtrl_spool.sequence import Sequence, SequenceWrapper


class Spool:
    """A shared folder with jobs.

    Parameters
    ----------
    path:
        The spool's directory, as ``qtrl-spool init`` made it.

    Raises
    ------
    NotFoundError
        If there is no spool.
    """

    def __init__(self, path: Path | str) -> None:
        self._layout = Layout.of(path)

    def __repr__(self) -> str:
        return f"Spool({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The spool's directory."""
        return self._layout.root

    # ------------------------------------------------------------ jobs

    def submit(
        self,
        sequence: SequenceWrapper | Path | str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        like: Job | Path | str | None = None,
        priority: str | int = "normal",
        name: str | None = None,
        check: bool = True,
        **manifest: Any,
    ) -> Job:
        """Queue a job; when this returns it survives a power cut.

        Parameters
        ----------
        sequence:
            A `SequenceWrapper`, or the path of anything that may be dropped: a folder, a
            ``.qjob``, a ``.json`` or a ``.yaml`` file.
        config:
            Patch of only the settings that differ, keyed by document:
            ``{'variables': {'Q6/freq': 5.41e9}}``. Merged over the bundle's own patch.
        like:
            Instead of a sequence: a job that shall run once more as it did, by itself, its id, or the
            path of its result, which may be another spool's. It compiles to the same program.
        priority:
            ``10``, ``'urgent'`` or ``'10-urgent'``.
        name:
            Of the job; else the manifest's, else the sequence's, else the file's.
        check:
            Whether to compile the sequence against the default configuration first.
        **manifest:
            Anything that ``job.yaml`` may say: ``n_reps``, ``n_batches``, ``tags``, ``notes``,
            ``hold``, ``clip``, ``user``, ….

        Raises
        ------
        SubmitterError
            If the job could not run; all problems at once, and nothing is dropped.
        """
        bundle = self.bundle(sequence, config, like=like, name=name, **manifest)
        if check:
            self.check(bundle)
        return self.drop(bundle, priority=priority)

    def bundle(
        self,
        sequence: SequenceWrapper | Path | str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        like: Job | Path | str | None = None,
        name: str | None = None,
        **manifest: Any,
    ) -> Bundle:
        """Return what `submit` would drop, given the same arguments."""
        from dataclasses import replace

        from qtrl_spool.bundle import Bundle, job_name
        from qtrl_spool.spool.drops import read_drop

        if isinstance(sequence, Path | str):
            found = read_drop(sequence)
        elif sequence is not None and like is None:
            found = Bundle(sequence=sequence.to_dict())
        elif like is not None and sequence is None:
            found = self._like(like)
        else:
            raise UsageError("give either a sequence or a job that it shall be like")
        merged = found.manifest.changed({**manifest, "name": name})
        file_name = Path(sequence).name if isinstance(sequence, Path | str) else "job"
        named = replace(merged, name=job_name(replace(found, manifest=merged), file_name))
        return replace(found, patch=patched(found.patch, config), manifest=named)

    def _like(self, job: Job | Path | str) -> Bundle:
        from qtrl_spool import again

        if isinstance(job, Path | str) and Path(job).expanduser().is_file():
            return again.from_result(Path(job).expanduser(), self.config.current())
        found = job if isinstance(job, Job) else self.job(str(job))
        return again.from_job(found, self.config.current(), is_here=found._layout.root == self.path)

    def check(self, bundle: Bundle) -> Sequence:
        """Compile a bundle against the default configuration, at the version that it asks for.

        Returns
        -------
        sequence:
            The compiled sequence, as it would be played today.

        Raises
        ------
        SequenceError, ConfigError
            With all problems of their kind.
        """
        from qtrl_spool import run

        version = bundle.manifest.config_version
        default = self.config.at(version) if isinstance(version, int) else self.config.current()
        return run.prepare(bundle, default).sequence

    def drop(self, bundle: Bundle, *, priority: str | int = "normal", job_id: str | None = None) -> Job:
        """Drop a bundle into ``incoming/`` under a job id; with the same id, a retry is harmless.

        The server can read it, whatever the caller's umask says.
        """
        from qtrl_spool.bundle import job_name, pack

        number = self._layout.priority(priority)
        letters = "".join(ID_LETTERS[byte % len(ID_LETTERS)] for byte in os.urandom(5))
        job_id = job_id or make_id(job_name(bundle, "job"), now=datetime.now(UTC), letters=letters)
        box, durable = self._layout.box(number), is_durable(self._layout.mark)
        try:
            fs.replace(box / f"{job_id}{DROP_SUFFIX}", pack(bundle), durable=durable, is_shared=True)
        except StorageError as error:
            access.explain(error, box)
            raise
        return Job(self, job_id)

    def priority(self, word: str | int) -> int:
        """Return the number of a priority given as ``10``, ``'urgent'`` or ``'10-urgent'``.

        Raises
        ------
        UsageError
            If the spool has no such priority.
        """
        return self._layout.priority(word)

    def job(self, id: str) -> Job:
        """Return the job named by its full id or any unambiguous part of it.

        Raises
        ------
        NotFoundError
            If there is no such job.
        """
        full_id = find.job_id(self._layout, id)
        find.bare_status(self._layout, full_id)
        return Job(self, full_id)

    def jobs(self, **wanted: Any) -> list[Job]:
        """Return the jobs that fit, newest first: ``state``, ``user``, ``name``, ``since``, ``limit``."""
        return [Job(self, record["id"]) for record in find.jobs(self._layout, **wanted)]

    def records(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the status documents of the jobs that fit, as `jobs` returns the jobs."""
        return find.jobs(self._layout, **wanted)

    def queue(self, limit: int | None = None) -> dict[str, Any]:
        """Return the queue: ``running``, ``queued`` and ``held`` jobs in order, and the ``servers``.

        Of the jobs it has the first `limit`; ``counts`` says how many there are.
        """
        return find.queue(self._layout, limit)

    def servers(self) -> list[dict[str, Any]]:
        """Return what every server last said of itself; ``alive`` says whether it seems to live."""
        return find.servers(self._layout)

    def arriving(self) -> list[str]:
        """Return what was dropped into ``incoming/`` and is not yet accepted, as paths below it."""
        return find.arriving(self._layout)

    # ------------------------------------------------------------ steering

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        timeout: float | None = ANSWER_TIMEOUT_S,
        asked: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        """Drop a request and wait for its answer, see `qtrl_spool.requesting.ask`."""
        return ask(self._layout, request, timeout=timeout, asked=asked)

    def pause(self, reason: str, *, server: str | None = None) -> str:
        """Let no server, or not this one, take another job until `resume`; for admins.

        A running job goes on. The pause survives restarts and counts for servers that start later.
        """
        request = {"pause": "queue", "server": server, "reason": reason}
        return str(self.ask({key: value for key, value in request.items() if value})["message"])

    def resume(self, *, server: str | None = None) -> str:
        """End a pause; for admins. Returns the answer in words, with what else keeps jobs waiting."""
        return str(self.ask({"resume": "queue", **({"server": server} if server else {})})["message"])

    def drain(self, *, server: str | None = None) -> str:
        """Let all servers, or this one, take no more drops and end when all is run; for admins."""
        return str(self.ask({"drain": "queue", **({"server": server} if server else {})})["message"])

    @property
    def config(self) -> SpoolConfig:
        """The default configuration, read and updated."""
        return SpoolConfig(self._layout.config, self.ask)


class Job(Steered, OnceMore):
    """A job in a spool. It follows `concurrent.futures.Future` where it can.

    Parameters
    ----------
    spool:
        Where it is.
    id:
        Its full id.
    """

    def __init__(self, spool: Spool, id: str) -> None:
        self._spool = spool
        self._layout = spool._layout
        self.id = id

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.state}>"

    # ------------------------------------------------------------ facts

    def status(self) -> dict[str, Any]:
        """Return the status document, with the place in the queue (1 runs next)."""
        return find.status(self._layout, self.id)

    def is_served(self) -> bool:
        """Return whether a server seems to look after the queue."""
        return find.is_served(self._layout)

    def as_of(self) -> str | None:
        """Return when the queue was last looked after, if no server does it now; else None."""
        return find.as_of(self._layout)

    @property
    def state(self) -> str:
        """One of ``queued held running paused done failed cancelled rejected``."""
        return str(find.bare_status(self._layout, self.id)["state"])

    @property
    def place(self) -> int | None:
        """Place in the queue: 1 runs next; None unless it is queued."""
        place: int | None = self.status()["place"]
        return place

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.status()["name"])

    @property
    def home(self) -> Path:
        """The job's permanent home."""
        return self._layout.home(self.id)

    def log(self) -> list[dict[str, Any]]:
        """Return the job's events, oldest first."""
        return read_events(self._layout, self.id)

    def effective(self) -> Mapping[str, Any]:
        """Return the values that the job ran with; before it runs, those of the default with its patch."""
        if self.status()["result"]:
            with self.partial() as result:
                return _frozen(result.config)
        return _frozen(self.configuration().effective)

    def configuration(self) -> Configuration:
        """Return the configuration that the job ran with; before it runs, the default with its patch.

        Other than `effective`, it knows where each value comes from.
        """
        from qtrl_spool import run

        record = self.status()
        version = record["config_version"] if record["started"] else None
        config = self._spool.config
        default = config.current() if version is None else config.at(version)
        return run.effective(self.bundle(), default)

    def done(self) -> bool:
        """Return whether the job came to an end, whichever."""
        return State(self.state).final

    def running(self) -> bool:
        """Return whether a server runs the job."""
        return self.state == State.RUNNING

    def cancelled(self) -> bool:
        """Return whether the job was cancelled."""
        return self.state == State.CANCELLED

    # ------------------------------------------------------------ waiting

    def wait(
        self,
        timeout: float | None = None,
        *,
        progress: bool | None = None,
        note: str = "",
        tell: Callable[[str], object] | None = None,
    ) -> Job:
        """Wait until the job came to an end, with a progress bar in a terminal and in a notebook.

        Parameters
        ----------
        timeout:
            At most so long (s); None waits for ever.
        progress:
            Whether to show the bar; None decides by where the output goes.
        note:
            What the bar says besides, such as how many other jobs are waited for.
        tell:
            Called where there is no bar, with a sentence, whenever it is something else that keeps the job
            from its end: a dead server, a pause, a hold, another job.

        Raises
        ------
        WaitTimeoutError
            If it did not end in time.
        """
        if self.done():
            return self
        with showing(self.id, progress, note, tell) as show:

            def ended() -> dict[str, Any] | None:
                record = self.status()
                show(find.explained(self._layout, record))
                return record if State(record["state"]).final else None

            if poll(ended, timeout) is None:
                unserved = None if find.is_served(self._layout) else "no server is running"
                said = f"job {self.id} is still {self.state} after {timeout:g} s"
                raise WaitTimeoutError(said, hint=unserved)
        return self

    def exception(self, timeout: float | None = None) -> QtrlSpoolError | None:
        """Wait for the end and return why the job failed, or None if it is done."""
        self.wait(timeout)
        record = self.status()
        if record["state"] == State.DONE:
            return None
        if record["error"]:
            return from_record(record["error"])
        return JobCancelledError(f"job {self.id} was {record['state']}", hint=record["reason"])

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the end and return the result.

        Raises
        ------
        QtrlSpoolError
            If the job failed: the error that its status holds.
        JobCancelledError
            If it was cancelled.
        WaitTimeoutError
            If it did not end in time.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        from qtrl_spool.results import Result

        return Result(self._spool.path / self.status()["result"])

    def partial(self) -> Result:
        """Return what was acquired so far; for a job that is done, its result.

        Raises
        ------
        NotFoundError
            If no batch has been acquired.
        """
        from qtrl_spool.results import Result

        record = self.status()
        path = self._spool.path / record["result"] if record["result"] else self.home / PARTIAL
        if not path.exists():
            raise NotFoundError(
                f"job {self.id} has no partial result yet: it is {record['state']}",
                hint="one is written about every second while it acquires",
            )
        return Result(path)

    def process(self, config: Mapping[str, Any] | None = None, *, output: Path | str | None = None) -> Result:
        """Process what the job measured once more, with another chain, and return the new result.

        Parameters
        ----------
        config:
            What to change of the job's chain, of the documents ``adc`` and ``variables``.
        output:
            Where to write it; None: beside the job's result, as ``result-2.h5`` (``-3``, …).

        Raises
        ------
        ConfigError, ProcessingError
            If the chain cannot do it.
        StorageError
            If the job's home may not be written to: give an `output`.
        """
        from qtrl_spool.reprocess import reprocess
        from qtrl_spool.results import Result

        with self.result() as first:
            path = first.path
        return Result(reprocess(path, config or {}, output=None if output is None else Path(output)))

    def processed(self, number: int) -> Result:
        """Return the result that `process` wrote under a number: 2, 3, …; 1 is the job's own.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        from qtrl_spool.reprocess import numbered
        from qtrl_spool.results import Result

        with self.result() as first:
            path = numbered(first.path, number)
        if not path.exists():
            raise NotFoundError(
                f"job {self.id} was not processed {number} times", hint=f"there is no {path.name}"
            )
        return Result(path)


def _frozen(documents: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return documents as one tree that is reached by slash paths."""
    from qtrl_spool.config.tree import Tree, freeze

    return Tree({name: freeze(tree) for name, tree in documents.items()})
