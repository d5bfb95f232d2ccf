"""Which job is next, and the order to run it.

The ordering rule itself is `qtrl_spool.spool.tickets.turn`; here is who may take the job whose turn it
is, and what an `Order` says of it. Called by the pipeline. A job that is no bundle is claimed and fails; one
of which the storage refuses a file is left aside for a while, and the next one is looked at. Fails with
`StorageError`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import Bundle, unpack
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.errors import QtrlSpoolError, StorageError
from qtrl_spool.server.aside import MOST_BROKEN, Aside, is_of_one_job
from qtrl_spool.server.orders import Before, Order
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.roll import Choice
from qtrl_spool.spool.arriving import is_open
from qtrl_spool.spool.eligible import Facts, keeping, kept, why_not
from qtrl_spool.spool.journal import Journal, n_attempts, paused_at, read_events, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.pauses import pauses
from qtrl_spool.spool.tickets import Place, Tickets


@dataclass(frozen=True)
class Names:
    """What a server is called, what it drives, and with which backend."""

    server: str
    instrument: str
    backend: str


class Choosing:
    """Chooses for one server.

    Parameters
    ----------
    layout:
        The spool.
    journal, moves, outcome:
        Of this server.
    store:
        The default configuration.
    choice:
        Of whose turn it is.
    names:
        Of this server.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        moves: Tickets,
        outcome: Outcome,
        store: ConfigStore,
        choice: Choice,
        names: Names,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._moves = moves
        self._outcome = outcome
        self._store = store
        self._choice = choice
        self._names = names
        self._refused: set[str] = set()
        self.aside = Aside()
        """The jobs of which the storage refuses a file at present."""

    def best(self, *, besides: Collection[str]) -> Place | None:
        """Return the ticket whose turn it is; `besides` are the jobs that pause at this moment."""
        self._end_refusals()
        facts, now = self._known(), datetime.now(UTC)
        keep, troubles = keeping(facts), count()

        def takes(place: Place, told: Mapping[str, Any]) -> bool:
            if place.ticket.job_id in besides or self.aside.rests(place.ticket.job_id):
                return False
            try:
                return kept(told, now=now, facts=facts) is None and self._takes(facts, place)
            except StorageError as trouble:
                self.aside.put(place.ticket.job_id, trouble)
                if next(troubles) < MOST_BROKEN:
                    return False
                raise

        return self._choice.next(takes, lambda instrument: keep(instrument) is None)

    def _known(self) -> Facts:
        """Return what decides, for this server, whether a job may run."""
        servers = {self._names.server: self._names.instrument}
        said = tuple(each for each in pauses(self._layout) if not each.by_backend)  # ours we know first-hand
        return Facts(servers, said, partial(is_open, self._layout))

    def _takes(self, facts: Facts, place: Place) -> bool:
        """Whether a job may run here by its record, which another server may have written since.

        Of one that was left aside all is read that its order needs: for nothing, none is taken back for it.
        """
        job_id = place.ticket.job_id
        record = read_status(self._layout, job_id) or {}
        if job_id in self.aside:
            fs.read(place.path)
            read_events(self._layout, job_id)
        return why_not(place, record, now=datetime.now(UTC), facts=facts) is None

    @staticmethod
    def is_still(order: Order, best: Place | None) -> bool:
        """Return whether what was made ready is still what should run next."""
        return (
            best is not None
            and best.path == order.waiting.path
            and fs.mark_of(best.path) == order.mark
            and order.is_current()
        )

    def order(self, best: Place, before: Mapping[str, Before]) -> Order | None:
        """Return the order to run a job, and mark it as open; None if it has failed, or is left aside.

        A ticket that is gone is left alone: it may be one that was claimed for us a moment ago, and whose
        mark stays until its job has ended.

        Parameters
        ----------
        best:
            Its ticket.
        before:
            What paused jobs measured, by id, as far as this server still has it.
        """
        try:
            order = self._made(best, before)
        except StorageError as trouble:
            if not self.leaves_aside(best.ticket.job_id, trouble):
                raise
            return None
        return order

    def leaves_aside(self, job_id: str, trouble: StorageError) -> bool:
        """Leave a job aside if trouble is its own; False if all of them shall rest for a while."""
        if is_of_one_job(trouble):
            self.aside.put(job_id, trouble)
        return is_of_one_job(trouble) and not self.aside.is_crowded

    def _made(self, best: Place, before: Mapping[str, Before]) -> Order | None:
        job_id = best.ticket.job_id
        mark = fs.mark_of(best.path)
        data = fs.read(best.path)
        if data is None:
            return None
        self._journal.forget(job_id)
        self._outcome.open(job_id)
        try:
            order = self._order(best, mark, unpack(data), before)
        except StorageError:
            raise
        except QtrlSpoolError as error:
            self.refuse(best, error, "")
            return None
        self._journal.open_log(job_id, order.place.ticket.claim)
        return order

    def _order(self, waiting: Place, mark: str, bundle: Bundle, before: Mapping[str, Before]) -> Order:
        ticket = waiting.ticket
        record = self._journal.record(ticket.job_id)
        is_paused = paused_at(self._layout, ticket.job_id)
        default, is_latest = self._default_for(bundle, record, is_paused)
        notes: tuple[dict[str, Any], ...] = ()
        if record["priority"] != ticket.priority:
            notes = (self._journal.entry("moved", priority=ticket.priority),)
        return Order(
            waiting=waiting,
            place=self._moves.claimed(waiting, self._names.server),
            mark=mark,
            home=self._layout.home(ticket.job_id),
            bundle=bundle,
            default=default,
            identity=self._identity(waiting, bundle, record),
            n_attempts=n_attempts(self._layout, ticket.job_id),
            started=record["started"] if is_paused else None,
            notes=notes,
            is_paused=is_paused,
            before=before.get(ticket.job_id) if is_paused else None,
            is_current=lambda: not is_latest or self._store.current().version == default.version,
        )

    def _default_for(
        self, bundle: Bundle, record: dict[str, Any], is_paused: bool
    ) -> tuple[Configuration, bool]:
        """Return the version that counts for a job, and whether that is the one in force.

        A job that goes on after a pause keeps the version that it began with.
        """
        wanted: int | str | None = bundle.manifest.config_version
        if wanted == "submitted" or is_paused:
            wanted = record["config_version"]
        if isinstance(wanted, int):
            return self._store.version(wanted, was_there=True), False  # it was accepted with it
        return self._store.current(), True

    def _identity(self, waiting: Place, bundle: Bundle, record: dict[str, Any]) -> dict[str, Any]:
        return {
            "job_id": waiting.ticket.job_id,
            "name": record["name"],
            "user": record["user"] or "",
            "tags": list(bundle.manifest.tags),
            "notes": bundle.manifest.notes or "",
            "submitted": record["submitted"] or "",
            "accepted": record["accepted"] or "",
            "server": self._names.server,
            "backend": self._names.backend,
            "claim": waiting.ticket.claim + 1,
        }

    def refuse(self, waiting: Place, error: QtrlSpoolError, details: str) -> None:
        """Claim a job that cannot run, and let it fail; what the storage refuses of it is done later."""
        job_id = waiting.ticket.job_id
        self._refused.add(job_id)
        mine = self._moves.claim(waiting, self._names.server)
        if mine is not None:
            self._journal.note(job_id, mine.ticket.claim, "claimed", server=self._names.server)
            self._outcome.fail(mine, error, details)
            self._refused.discard(job_id)
        else:
            self._end_refusals()

    def _end_refusals(self) -> None:
        """Make the records of refused jobs say what their tickets say, after a storage that failed."""
        for job_id in sorted(each for each in self._refused if not self.aside.rests(each)):
            try:
                self._outcome.settle_if_known(job_id)
            except StorageError as trouble:
                self.aside.put(job_id, trouble)
                continue
            self._refused.discard(job_id)
