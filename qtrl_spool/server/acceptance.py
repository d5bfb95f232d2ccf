"""Accept or reject a drop that was taken out of ``incoming/``.

Called by ``intake`` with a file or folder in ``accepting/<server>/``, whose name says under which id
and at which priority. Every step can be done twice: a job that was noted as accepted is not checked
again, one that has a ticket is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qtrl_spool import fs, run
from qtrl_spool.bundle import Limits, job_name, pack
from qtrl_spool.config import Configuration
from qtrl_spool.errors import BundleError, ConfigError, NotFoundError, QtrlSpoolError, SubmitterError
from qtrl_spool.job import DROP_SUFFIX, OWNERS, State, Ticket, is_id, utc
from qtrl_spool.spool import drops, tickets
from qtrl_spool.spool.accepting import Taken
from qtrl_spool.spool.journal import Journal, read_events, read_status
from qtrl_spool.spool.layout import Layout

_log = logging.getLogger(__name__)


class Acceptance:
    """Accepts or rejects for one server.

    Parameters
    ----------
    layout:
        The spool.
    journal:
        Of this server.
    server:
        Its name.
    limits:
        Of drops.
    default:
        Returns the default configuration at a version, or in force for ``latest`` and ``submitted``.
    durable:
        Whether what is accepted is synced.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        server: str,
        limits: Limits,
        default: Callable[[int | str], Configuration],
        *,
        durable: bool,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._server = server
        self._limits = limits
        self._default = default
        self._durable = durable
        self._moves = tickets.Tickets(layout, durable=durable)
        self._last_order = 0

    def finish(self, path: Path, taken: Taken, error: QtrlSpoolError | None) -> None:
        """Accept or reject what was taken; `error` says why it cannot be accepted, if that is known."""
        if self._has_ticket(taken.job_id):
            _log.info("%s was dropped again: nothing to do", taken.job_id)
            fs.remove(path)
            return
        try:
            if error is not None:
                raise error
            whole = self._checked(path, taken)
        except (SubmitterError, NotFoundError) as problem:
            self._reject(path, taken, problem)
        else:
            self._accept(path, taken, whole)

    def _has_ticket(self, job_id: str) -> bool:
        return fs.exists(self._layout.home(job_id)) and tickets.find(self._layout, job_id) is not None

    def _is_noted(self, job_id: str) -> bool:
        return any(event["event"] == "accepted" for event in read_events(self._layout, job_id))

    def _checked(self, path: Path, taken: Taken) -> drops.Whole:
        """Return what a taken drop says, checked as far as acceptance does."""
        try:
            whole = drops.take(path, self._limits, name=path.name if taken.uid is not None else taken.name)
            if not self._is_noted(taken.job_id):
                run.check(whole.bundle, self._default(whole.bundle.manifest.config_version))
        except (QtrlSpoolError, OSError):
            raise
        except Exception as error:
            _log.exception("cannot read %s", taken.name)
            raise BundleError(
                f"the server could not read it: {type(error).__name__}: {str(error)[:200]}",
                hint="this should not happen: please report it together with the drop",
            ) from error
        return whole

    def _accept(self, path: Path, taken: Taken, whole: drops.Whole) -> None:
        bundle = whole.bundle
        held = bundle.manifest.hold
        ticket = Ticket(taken.priority, self.next_order(), taken.job_id)
        self._journal.open_home(taken.job_id)
        if not self._is_noted(taken.job_id):
            self._note_acceptance(path, taken, whole)
        if held and self._journal.record(taken.job_id)["state"] != State.HELD:
            by = self._journal.record(taken.job_id)["user"]
            self._journal.note(taken.job_id, 0, "held", hold=OWNERS, held_by=by, why="until it is released")
        copy = self._layout.accepting_by(self._server) / f".{ticket.name}"
        fs.remove(copy)
        fs.write_new(copy, pack(bundle), durable=self._durable)
        if not fs.exists(path):  # another server took it over while we were away
            fs.remove(copy)
            return
        folder = self._layout.held if held else self._moves.queue_folder(taken.priority)
        fs.move(copy, folder / ticket.name, durable=self._durable)
        fs.remove(path)
        _log.info("accepted %s from %s", taken.job_id, taken.name)

    def _note_acceptance(self, path: Path, taken: Taken, whole: drops.Whole) -> None:
        bundle = whole.bundle
        default = self._default(bundle.manifest.config_version)
        self._journal.note(
            taken.job_id,
            0,
            "accepted",
            **self._who(path, taken, bundle.manifest.user),
            name=job_name(bundle, stem(taken.name)),
            priority=taken.priority,
            tags=list(bundle.manifest.tags),
            instrument=bundle.manifest.instrument,
            drop=taken.name,
            drop_sha256=whole.sha256,
            config_version=default.version,
            n_batches=run.effective(bundle, default).get("adc/acquisition_settings/n_batches", 1),
        )

    def _reject(self, path: Path, taken: Taken, problem: QtrlSpoolError) -> None:
        problem.where = problem.where or taken.name
        problems = getattr(problem, "problems", (problem,))
        text = rejection(taken, problems)
        self._journal.open_home(taken.job_id)
        target = self._layout.rejected / f"{taken.job_id}~{taken.name}"
        fs.replace(self._layout.rejected / f"{taken.job_id}.txt", text.encode())
        if read_status(self._layout, taken.job_id) is None:
            self._journal.note(
                taken.job_id,
                0,
                "rejected",
                **self._who(path, taken, None),
                name=stem(taken.name),
                priority=taken.priority,
                error=problem.record(),
                rejected=str(target.relative_to(self._layout.root)),
            )
        fs.move(path, target, durable=self._durable)
        _log.warning("rejected %s: %s", taken.name, problem)

    @staticmethod
    def _who(path: Path, taken: Taken, label: str | None) -> dict[str, Any]:
        facts = fs.facts(path)
        uid = taken.uid if taken.uid is not None else facts.st_uid if facts else -1
        now = datetime.now(UTC)
        dropped = datetime.fromtimestamp(facts.st_mtime, UTC) if facts else now
        return {"uid": uid, "user": label or fs.user_name(uid), "submitted": utc(min(dropped, now))}

    def go_on_from(self, order: int) -> None:
        """Learn the highest order number of any ticket: the next is higher, also than any given here."""
        self._last_order = max(self._last_order, order)

    def next_order(self) -> int:
        """Return the next order number."""
        self._last_order += 1
        return self._last_order


def stem(name: str) -> str:
    """Return the name that a drop's file name gives a job."""
    plain = name.removesuffix(DROP_SUFFIX)
    return plain[16:-6] if is_id(plain) else (name.rpartition(".")[0] or name)


def rejection(taken: Taken, problems: tuple[QtrlSpoolError, ...]) -> str:
    """Return the text that is put beside a rejected drop: what is wrong, where, how to mend it."""
    lines = [f"{taken.name} was not accepted.", ""]
    for problem in problems:
        lines.append(f"what:   {problem.message}")
        lines += [f"where:  {problem.where}"] if problem.where else []
        excerpt = problem.excerpt if isinstance(problem, ConfigError) else None
        lines += [f"        {line}" for line in (excerpt or "").splitlines()]
        lines += [f"remedy: {problem.hint}"] if problem.hint else []
        lines.append("")
    return "\n".join([*lines, "Mend it and drop it again; nothing else needs to be done.", ""])
