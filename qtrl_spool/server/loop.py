"""The main loop: one step after another, for ever, and never blocked by an acquisition.

::

    reports of the worker → drops → requests → configuration → claim → queue.json, heartbeat

Each step looks at the spool afresh. The loop alone changes states; the worker thread only runs the
job and reports. When the storage fails, the step is tried again later and the trouble is said in
the heartbeat, in the log and in ``queue.json``; a running acquisition goes on meanwhile.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qtrl_spool import __version__, fs
from qtrl_spool.backends import Backend
from qtrl_spool.bundle import Bundle, unpack
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.errors import InternalError, QtrlSpoolError, StorageError
from qtrl_spool.job import utc
from qtrl_spool.server.intake import Intake
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.recovery import Watch, n_attempts, recover, take_over
from qtrl_spool.server.steering import Steering, login_name
from qtrl_spool.server.wake import Wake
from qtrl_spool.server.worker import Batch, Failed, Finished, Order, Phase, Report, Stopped, Worker
from qtrl_spool.spool import servers, snapshot, tickets
from qtrl_spool.spool.journal import Journal, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings, read_settings

_log = logging.getLogger(__name__)
_BEAT_EVERY_S = 5.0
_PROGRESS_EVERY_S = 0.2
_STOP_GRACE_S = 10.0
_LONGEST_BACKOFF_S = 30.0


class Server:
    """Serves one spool until it is told to stop.

    Parameters
    ----------
    layout:
        The spool.
    name:
        Of the server; only one of that name runs at a time.
    make_backend:
        Returns the backend, not yet connected.
    backend_name:
        As people know it.
    drain:
        Whether to end when nothing is queued, running or settling.
    events:
        Whether to listen for events of the file system; without, scans do all the work.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        name: str,
        make_backend: Callable[[], Backend],
        backend_name: str = "simulator",
        drain: bool = False,
        events: bool = True,
    ) -> None:
        self.layout = layout
        self.name = servers.check_name(name)
        self.settings: Settings = read_settings(layout.mark)
        self._drain = drain
        self._events = events
        self._backend_name = backend_name
        durable = self.settings.durable
        self._journal = Journal(layout, name, durable=durable)
        self._moves = tickets.Tickets(layout, durable=durable)
        self._outcome = Outcome(layout, self._journal, self._moves, name)
        self._store = ConfigStore(layout.config)
        self._wake = Wake()
        self._intake = Intake(
            layout, self.settings, self._journal, name, self._store.current, self._wake.was_renamed
        )
        self._steering = Steering(
            layout,
            self.settings,
            self._journal,
            self._moves,
            self._outcome,
            name,
            self._store,
            self._stop_running,
            self._wake.was_renamed,
        )
        self._watch = Watch(layout, name, self.settings.lease_s)
        self._worker = Worker(make_backend, self._wake.set, durable=durable)
        self._order: Order | None = None
        self._cancelled: str | None = None
        self._reports: deque[Report] = deque()
        self._progress_at = 0.0
        self._beat_at = -_BEAT_EVERY_S
        self._beat: dict[str, Any] = {}
        self._snapshot: dict[str, Any] = {}
        self._trouble: str | None = None
        self._config_refused: str | None = None
        self._backoff_s = 0.0
        self._stop_asked_at: float | None = None
        self._started = utc(datetime.now(UTC))

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until `stop` is called, or, when draining, until nothing is left to do.

        Raises
        ------
        ServerNameTakenError
            If a server of that name is running.
        """
        with servers.holding_name(self.layout, self.name):
            self._make_room()
            recover(self.layout, self._outcome, self.name, self.settings.max_attempts)
            self._worker.begin()
            if self._events:
                self._wake.watch(self._watched())
            try:
                while not self._over():
                    self._guarded_step()
                    self._wake.wait(self._patience())
            finally:
                self._close()

    def _watched(self) -> tuple[Path, ...]:
        return self.layout.incoming, self.layout.requests, self.layout.queue, self.layout.config

    def _make_room(self) -> None:
        fs.make_folder(self.layout.accepting_by(self.name))
        fs.make_folder(self.layout.claimed_by(self.name))

    def stop(self) -> None:
        """Ask the server to end: the running job stops after its batch and goes back to the queue.

        Asked again, or after a grace of 10 s, the batch is given up. Safe in a signal handler.
        """
        if self._stop_asked_at is not None and self._order is not None:
            self._order.abort.set()
        self._stop_asked_at = self._stop_asked_at or time.monotonic()
        if self._order is not None:
            self._order.stop.set()
        self._wake.set()

    def _close(self) -> None:
        self._wake.stop()
        self._worker.end(timeout=_STOP_GRACE_S)
        try:
            self._write_heartbeat(stopped=True)
            self._write_snapshot()
        except StorageError as error:
            _log.warning("could not say that this server ended: %s", error)

    def _over(self) -> bool:
        if self._order is not None or self._reports:
            return False
        if self._stop_asked_at is not None:
            return True
        return self._drain and self._trouble is None and not self._busy

    _busy, _moved = True, False

    def _patience(self) -> float:
        """Return for how long (s) the loop may wait for an event."""
        if self._moved and not self._trouble:
            return 0.0
        waits = [
            self.settings.scan_s,
            self._intake.recheck_after_s,
            self._steering.recheck_after_s,
        ]
        shortest = min(each for each in waits if each is not None)
        return max(self._backoff_s, 0.01, shortest) if self._trouble else max(0.01, shortest)

    # ------------------------------------------------------------ one step

    def _guarded_step(self) -> None:
        try:
            self.step()
        except StorageError as error:
            self._backoff_s = min(_LONGEST_BACKOFF_S, max(0.5, 2 * self._backoff_s))
            if str(error) != self._trouble:
                _log.error("storage trouble, trying again: %s", error)
            self._trouble = str(error)
            return
        if self._trouble is not None:
            _log.info("the storage works again")
        self._trouble, self._backoff_s = None, 0.0

    def step(self) -> None:
        """Look at everything once and do what there is to do."""
        self._make_room()
        self._take_reports()
        n_drops = self._intake.scan()
        n_answered = self._steering.scan()
        self._refresh_config()
        self._take_over_dead()
        claimed = self._order is None and self._stop_asked_at is None and self._claim()
        self._hurry_up()
        self._write_snapshot()
        self._write_heartbeat()
        self._moved = bool(n_answered or n_drops or claimed)
        unsettled = self._intake.recheck_after_s is not None or self._steering.recheck_after_s is not None
        self._busy = bool(self._moved or unsettled or self._order is not None)

    def _refresh_config(self) -> None:
        refused = self._store.refresh(now=self._journal.now())
        if refused and refused != self._config_refused:
            _log.warning("the edited configuration is refused, the last good one stays in force: %s", refused)
        self._config_refused = refused

    def _take_over_dead(self) -> None:
        for dead in self._watch.dead(time.monotonic()):
            take_over(
                self.layout,
                lambda name: Outcome(self.layout, self._journal, self._moves, name),
                dead,
                self.name,
                self.settings.max_attempts,
            )

    def _hurry_up(self) -> None:
        """Give the batch up when a stop was asked for and the grace is over."""
        if self._stop_asked_at is None or self._order is None:
            return
        self._order.stop.set()
        if time.monotonic() - self._stop_asked_at > _STOP_GRACE_S:
            self._order.abort.set()

    # ------------------------------------------------------------ claim

    def _claim(self) -> bool:
        with servers.claiming(self.layout):
            best = next((each for each in tickets.queued(self.layout) if self._takes(each)), None)
            if best is None:
                return False
            self._journal.forget(best.ticket.job_id)
            self._outcome.open(best.ticket.job_id)
            mine = self._moves.claim(best, self.name)
        if mine is None:
            self._outcome.close(best.ticket.job_id)
            return False
        self._begin(mine)
        return True

    def _takes(self, place: tickets.Place) -> bool:
        wanted = (read_status(self.layout, place.ticket.job_id) or {}).get("instrument")
        return wanted is None or wanted == self.name

    def _begin(self, mine: tickets.Place) -> None:
        job_id = mine.ticket.job_id
        self._journal.note(job_id, mine.ticket.claim, "claimed", server=self.name)
        _log.info("claimed %s", job_id)
        try:
            bundle = unpack(fs.read(mine.path) or b"")
            default = self._default_for(bundle, job_id)
        except QtrlSpoolError as error:
            if isinstance(error, StorageError):
                raise
            self._outcome.fail(mine, error, "")
            return
        self._cancelled = None
        self._order = Order(
            mine, self.layout.home(job_id), bundle, default, self._identity(mine, bundle), self._journal.now
        )
        self._worker.hand_over(self._order)

    def _default_for(self, bundle: Bundle, job_id: str) -> Configuration:
        wanted = bundle.manifest.config_version
        if wanted == "submitted":
            wanted = self._journal.record(job_id)["config_version"]
        return self._store.version(wanted) if isinstance(wanted, int) else self._store.current()

    def _identity(self, mine: tickets.Place, bundle: Bundle) -> dict[str, Any]:
        record = self._journal.record(mine.ticket.job_id)
        return {
            "job_id": mine.ticket.job_id,
            "name": record["name"],
            "user": record["user"] or "",
            "tags": list(bundle.manifest.tags),
            "notes": bundle.manifest.notes or "",
            "submitted": record["submitted"] or "",
            "accepted": record["accepted"] or "",
            "server": self.name,
            "backend": self._backend_name,
            "attempt": n_attempts(self.layout, mine.ticket.job_id) + 1,
            "claim": mine.ticket.claim,
        }

    # ------------------------------------------------------------ reports

    def _take_reports(self) -> None:
        while not self._worker.reports.empty():
            self._reports.append(self._worker.reports.get())
        while self._reports:
            self._take(self._reports[0])
            self._reports.popleft()
        if self._order is not None and not self._worker.alive:
            raise InternalError("the worker thread died", hint="please report it with the server's log")

    def _take(self, report: Report) -> None:
        order = report.order
        place = order.place
        if isinstance(report, Batch):
            self._note_progress(report)
        elif isinstance(report, Phase):
            self._note_phase(report)
        else:
            if isinstance(report, Finished):
                self._outcome.commit(place)
            elif isinstance(report, Failed):
                self._outcome.fail(place, report.error, report.details)
            elif isinstance(report, Stopped):
                self._give_up(place)
            self._order = None

    def _give_up(self, place: tickets.Place) -> None:
        if self._cancelled is not None:
            self._outcome.cancel(place, self._cancelled)
        else:
            self._outcome.requeue(place, f"server {self.name!r} was stopped")

    def _note_phase(self, report: Phase) -> None:
        ticket, order = report.order.place.ticket, report.order
        if report.phase != "acquiring":
            self._journal.note(ticket.job_id, ticket.claim, "phase", phase=report.phase)
            return
        self._journal.note(
            ticket.job_id,
            ticket.claim,
            "started",
            attempt=order.identity["attempt"],
            n_batches=report.n_batches,
            config_version=order.default.version,
        )

    def _note_progress(self, report: Batch) -> None:
        now = time.monotonic()
        if report.batch < report.n_batches and now - self._progress_at < _PROGRESS_EVERY_S:
            return
        self._progress_at = now
        self._journal.progress(report.order.place.ticket.job_id, report.batch, report.n_batches)

    def _stop_running(self, job_id: str, why: str, at_once: bool) -> None:
        if self._order is None or self._order.place.ticket.job_id != job_id:
            return
        self._cancelled = why
        self._order.stop.set()
        if at_once:
            self._order.abort.set()

    # ------------------------------------------------------------ what others see

    def _write_snapshot(self) -> None:
        records = snapshot.short_records(self.layout, self._short_record, served=True)
        beats = [{**beat, "updated": None} for beat in servers.heartbeats(self.layout)]
        seen = {"records": records, "servers": beats}
        if seen == self._snapshot:
            return
        document = snapshot.document(records, servers.heartbeats(self.layout), updated=self._journal.now())
        fs.replace_json(self.layout.snapshot, document, durable=False)
        self._snapshot = seen

    def _short_record(self, job_id: str) -> dict[str, Any] | None:
        return self._journal.record(job_id)

    def _write_heartbeat(self, *, stopped: bool = False) -> None:
        beat = self._facts(stopped)
        now = time.monotonic()
        if beat == self._beat and now - self._beat_at < _BEAT_EVERY_S:
            return
        servers.write_heartbeat(self.layout, {**beat, "updated": self._journal.now()})
        self._beat, self._beat_at = beat, now

    def _facts(self, stopped: bool) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "user": login_name(),
            "backend": self._backend_name,
            "version": __version__,
            "started": self._started,
            "stopped": stopped,
            "running": None if self._order is None else self._order.place.ticket.job_id,
            "config_version": self._store.current().version,
            "config_refused": self._config_refused,
            "trouble": self._trouble,
        }


__all__ = ["Server"]
