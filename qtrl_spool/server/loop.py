"""The main loop: one step after another, for ever, and never blocked by an acquisition.

::

    drops → requests → configuration → dead servers → reports, next job → queue.json, heartbeat

Each step looks at the spool afresh. The loop alone changes states, but for the claim, which the stage
that acquires makes itself; the stages of the `Pipeline` only run jobs and report. When the storage
fails in one stage, the others go on and that one is tried again later; the trouble is said in the
heartbeat, in the log and in ``queue.json``. A running acquisition goes on.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from qtrl_spool import __version__, fs, host, run
from qtrl_spool.backends import Backend
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.errors import NotFoundError, OperatorError, StorageError
from qtrl_spool.host import login_name
from qtrl_spool.job import utc
from qtrl_spool.server import watching
from qtrl_spool.server.board import Board
from qtrl_spool.server.choosing import Names
from qtrl_spool.server.experience import Experience
from qtrl_spool.server.foresight import Foresight
from qtrl_spool.server.instrument import lock_of
from qtrl_spool.server.intake import Intake
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.pipeline import Pipeline
from qtrl_spool.server.recovery import DIED, Rounds, Watch, recover, silent, take_over
from qtrl_spool.server.roll import Choice, Roll
from qtrl_spool.server.stage import Reports
from qtrl_spool.server.standby import Charge, Me, has_work, in_charge
from qtrl_spool.server.steering import Steering
from qtrl_spool.server.telling import Once, do_all
from qtrl_spool.server.wake import Wake
from qtrl_spool.spool import servers, tickets
from qtrl_spool.spool.eligible import moment
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import MARK, Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.pauses import end_drain, is_draining
from qtrl_spool.spool.settings import Settings, read_settings

_log = logging.getLogger(__name__)
_BEAT_EVERY_S = 5.0
_STOP_GRACE_S = 10.0
_STUCK_S = 60.0
_SWITCH_S = 0.0005
"""For how long (s) a thread keeps the interpreter, else 5 ms: the one that acquires shall not wait so."""
_COLLECTED = 50_000, 10, 10
"""How rarely cyclic garbage is looked for: with 100,000 waiting jobs a look stops all threads 0.4 s."""
_AFTER_TROUBLE_S = 1.0
_AFTER_ATTEMPT_S = 2.0


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
    instrument:
        What it drives; None: an instrument of the server's own name. One server at a time drives it.
    standby:
        Whether to wait until nobody else bears the name.
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
        instrument: str | None = None,
        standby: bool = False,
        drain: bool = False,
        events: bool = True,
    ) -> None:
        self.layout = layout
        self.name = servers.check_name(name)
        self.settings: Settings = read_settings(layout.mark)
        self._drain = drain
        self._events = events
        self._watching: str | None = None
        self.instrument = servers.check_name(instrument or name)
        self._standby = standby
        self._charge: Charge | None = None
        self._backend_name = backend_name
        durable = self.settings.durable
        marks = Marks(layout, name, durable=durable)
        self._journal = Journal(layout, name, durable=durable, answers=marks.open)
        self._index = Index(layout)
        self._roll = Roll(layout, self._journal, self._index)
        self._moves = tickets.Tickets(layout, durable=durable, moved=self._index.moved)
        self._outcome = Outcome(layout, self._journal, self._moves, name, self.settings.max_attempts)
        self._store = ConfigStore(layout.config, durable=durable)
        self._wake = Wake()
        self._choice = Choice(self._index, self._roll)
        self._experience = Experience(layout, name)
        self._watch = Watch(layout, name, self.settings.lease_s)
        self._make_rooms(make_backend)
        self._beat_at = -_BEAT_EVERY_S
        self._beat: dict[str, Any] = {}
        foresight = Foresight(name, self._experience, self._roll, self.settings.preempts)
        self._board = Board(layout, self._journal, self._index, self._roll, name, self._experience, foresight)
        self._troubles: list[str] = []
        self._told: set[str] = set()
        self._config_refused: str | None = None
        self._warned_of: int | None = None
        self._stop_asked_at: float | None = None
        self._stops = 0
        self._closing = False
        self._take_charge = Once()
        self._heeds_drain = False
        self._dying: set[str] = set()
        self._started = utc(datetime.now(UTC))

    def _make_rooms(self, make_backend: Callable[[], Backend]) -> None:
        """Make those who take drops in, answer requests and run jobs."""
        self._intake = Intake(
            self.layout,
            self.settings,
            self._journal,
            self.name,
            self._default_at,
            self._wake.was_renamed,
            self._index,
            lambda: self._pipeline.look_up(),
            self._outcome.settle_if_known,
        )
        self._steering = Steering(
            self.layout,
            self.settings,
            self._journal,
            self._moves,
            self._outcome,
            self.name,
            self._store,
            lambda job_id, why, at_once: self._pipeline.cancel(job_id, why, at_once),
            lambda job_id, why, note: self._pipeline.park(job_id, why, note),
            self._wake.was_renamed,
        )
        self._pipeline = Pipeline(
            self.layout,
            self.settings,
            self._journal,
            self._moves,
            self._outcome,
            self._store,
            self._choice,
            Names(self.name, self.instrument, self._backend_name),
            make_backend,
            Reports(self._wake.set, self._experience.hear),
            self._intake.next_order,
        )
        self._outcome.in_hands = self._pipeline.has
        self._rounds = Rounds(self._outcome, self._pipeline.has, self._pipeline.aside.tried)

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until `stop` is called, or, when draining, until nothing is left to do.

        As long as another server drives the instrument it stands by, see `server.standby`.

        Raises
        ------
        ServerNameTakenError
            If a server of that name is running, and this one may not wait for it.
        """
        me = Me(self.name, self.instrument, self._backend_name, login_name(), self._started)
        with in_charge(
            self.layout, me, lock_of(self._backend_name, self.instrument), may_wait=self._standby,
            is_over=self._is_superfluous, pause=self._wake.wait,
        ) as self._charge:  # fmt: skip
            if self._charge is None:
                return
            self._take_charge.left = [
                self._end_old_drain,
                partial(self._charge.inherit, self._take_over),
                self._recover,
            ]
            sys.setswitchinterval(_SWITCH_S)
            gc.set_threshold(*_COLLECTED)
            self._pipeline.begin()
            _log.info("server %r serves %s with backend %r", self.name, self.layout.root, self._backend_name)
            self._watch_folders()
            try:
                while not self._over():
                    self.step()
                    self._wake.wait(self._patience())
            finally:
                self._close()

    def _end_old_drain(self) -> None:
        end_drain(self.layout, self.name)
        self._heeds_drain = True

    def _make_room(self) -> None:
        durable = self.settings.durable
        fs.make_folder(self.layout.accepting_by(self.name), durable=durable)
        fs.make_folder(self.layout.claimed_by(self.name), durable=durable)

    def stop(self) -> None:
        """Ask the server to end: the running job pauses after its batch and goes on at the next start.

        Asked again, or after a grace of 10 s, the batch is given up. Safe in a signal handler.
        """
        self._stops += 1
        self._stop_asked_at = self._stop_asked_at or time.monotonic()
        self._wake.set()

    def _close(self) -> None:
        self._wake.stop()
        self._pipeline.end(timeout=_STOP_GRACE_S)
        try:
            self._need_spool()
            told = partial(self._write_heartbeat, stopped=True), partial(self._write_snapshot, at_once=True)
            do_all([self._rounds.end, partial(end_drain, self.layout, self.name), *told])
        except StorageError as error:
            _log.warning("could not write all that is to be written at the end: %s", error)

    def _is_superfluous(self) -> bool:
        """Return whether a server that stands by may end."""
        return self._stop_asked_at is not None or (self._drain and not has_work(self.layout))

    def _over(self) -> bool:
        if not self._pipeline.is_idle:
            return self._leaves_unwritten()
        if self._stop_asked_at is not None:
            return True
        if not self._drain or self._troubles or self._pipeline.aside.told():
            return False
        return not self._busy and not self._awaits_attempt()

    def _awaits_attempt(self) -> bool:
        """Return whether a job that the instrument failed is soon to be tried again: a drain waits for it."""
        soon = datetime.now(UTC) - timedelta(seconds=_AFTER_ATTEMPT_S)
        waiting = (self._roll.known(place).facts.get("retry_at") for place in self._index.queued)
        return any(retry_at is not None and moment(retry_at) > soon for retry_at in waiting)

    def _leaves_unwritten(self) -> bool:
        """Whether to end although what was measured cannot be written: told so twice, or waited a minute."""
        if self._stop_asked_at is None or not (self._pipeline.is_stuck or self._was_gone):
            return False
        left_s = _STUCK_S - (time.monotonic() - self._stop_asked_at)
        job_id, trouble = self._pipeline.job_id, self._pipeline.trouble or "; ".join(self._troubles)
        if self._stops < 2 and left_s > 0:
            if not self._stuck_told:
                self._stuck_told = True
                _log.warning(
                    "%s cannot be written (%s): tried for %.0f s more; asked again, it is given up",
                    job_id,
                    trouble,
                    left_s,
                )
            return False
        _log.error(
            "%s is left unwritten while the storage refuses (%s): it starts over at the next start",
            job_id or "what was next",
            trouble,
        )
        return True

    _busy, _moved, _was_gone, _stop_told, _stuck_told = True, False, False, False, False

    def _patience(self) -> float:
        """Return for how long (s) the loop may wait for an event."""
        if self._troubles:
            return max(_AFTER_TROUBLE_S, self.settings.scan_s)
        if self._moved:
            return 0.0
        waits = (
            self.settings.scan_s,
            self._intake.recheck_after_s,
            self._steering.recheck_after_s,
            self._board.recheck_after_s,
        )
        return max(0.01, min(each for each in waits if each is not None))

    # ------------------------------------------------------------ one step

    def step(self) -> None:
        """Look at everything once and do what there is to do; what fails is tried again later."""
        self._moved = False
        self._look_after_instrument()
        stages = (
            self._need_spool,
            self._watch_anew,
            self._make_room,
            self._take_charge,
            self._accept_drops,
            self._answer_requests,
            self._refresh_config,
            self._take_over_dead,
            self._rounds,
            self._look_at_clock,
            self._pipeline.step,
            self._write_heartbeat,
            self._need_spool,
            self._write_snapshot,
        )
        self._note_trouble(self._carry_out(stages))
        unsettled = self._steering.recheck_after_s is not None
        unsettled |= not self._closing and self._intake.recheck_after_s is not None
        self._busy = self._moved or unsettled or self._pipeline.is_waiting or not self._choice.has_none

    def _carry_out(self, stages: Iterable[Callable[[], object]]) -> list[str]:
        """Carry stages out, one after another, and return what the storage refused to them.

        One that fails does not stop the others, but if the spool is gone: into the empty folder of a share
        that is not mounted nothing is written.
        """
        troubles = []
        for stage in stages:
            try:
                stage()
            except (StorageError, NotFoundError) as error:
                if gone := self._spool_is_gone():
                    return [gone]
                if not isinstance(error, StorageError):
                    raise
                troubles.append(str(error))
        return troubles

    def _spool_is_gone(self) -> str | None:
        """Return in words that the spool is gone, if it is; what needs no disk goes on."""
        try:
            self._need_spool()
        except StorageError as error:
            self._was_gone = True
            self._look_at_clock()
            return str(error)
        return None

    def _watch_anew(self) -> None:
        """Watch the folders of a spool that was gone and is back: they may be others than before."""
        if self._was_gone:
            self._was_gone = False
            self._wake.stop()
            self._watch_folders()

    def _watch_folders(self) -> None:
        folders = self.layout.incoming, self.layout.requests, self.layout.queue, self.layout.config
        self._watching = watching.watch(self.layout, self.settings, self._wake, folders, events=self._events)

    def _need_spool(self) -> None:
        if not fs.exists(self.layout.mark):
            raise StorageError(
                f"there is no {MARK} in {self.layout.root} any more",
                hint="is the share mounted? what runs goes on, and the rest when the spool is back",
            )

    def _look_after_instrument(self) -> None:
        """Let go of the instrument at once if another server has its lock."""
        try:
            if self._charge is not None:
                self._charge.look_after()
        except OperatorError:
            self._pipeline.stop(at_once=True)
            raise

    def _note_trouble(self, troubles: list[str]) -> None:
        """Say once what is wrong with the storage, and once that it is right again."""
        unwritten = self._pipeline.trouble if self._pipeline.is_stuck else None
        troubles = list(dict.fromkeys([*troubles, *([] if unwritten is None else [unwritten])]))
        for each in troubles:
            if each not in self._told:
                _log.error("storage trouble, trying again: %s", each)
        if self._troubles and not troubles:
            _log.info("the storage works again")
            self._rounds.hurry()
        self._told = {*self._told, *troubles} if troubles else set()
        self._troubles = troubles

    def _accept_drops(self) -> None:
        if not self._closing:
            self._moved |= bool(self._intake.scan())

    def _answer_requests(self) -> None:
        self._moved |= bool(self._steering.scan())
        if self._heeds_drain and not self._closing and is_draining(self.layout, self.name):
            _log.info("server %r was asked to end when nothing is left to run", self.name)
            self._closing = self._drain = True

    def _look_at_clock(self) -> None:
        """Stop the running job when that was asked for; give its batch up when the grace is over."""
        if self._stop_asked_at is not None:
            if not self._stop_told:
                self._stop_told = True
                _log.info("asked to end: the running job stops after its batch, or in %.0f s", _STOP_GRACE_S)
            is_late = time.monotonic() - self._stop_asked_at > _STOP_GRACE_S
            self._pipeline.stop(at_once=is_late or self._stops > 1)

    def _refresh_config(self) -> None:
        refused = self._store.refresh(now=self._journal.now())
        if refused and refused != self._config_refused:
            _log.warning("the edited configuration is refused, the last good one stays in force: %s", refused)
        self._config_refused = refused
        default = self._store.current()
        if default.version != self._warned_of:
            self._warned_of = default.version
            for warning in run.warnings_of(default):
                _log.warning("configuration %s: %s", default.version, warning)

    def _take_over_dead(self) -> None:
        before = self._unread()
        what, dead = silent(self.settings.lease_s), self._watch.dead(time.monotonic(), beat_at=self._beat_at)
        for each in self._unread():
            if each not in before:
                _log.error("left aside, and tried again: %s", each)
        self._dying &= set(dead)
        do_all([partial(self._take_over, each, what) for each in dead])

    def _take_over(self, dead: str, what: str = DIED) -> None:
        if dead not in self._dying:
            _log.warning("server %r %s: taking over what it left", dead, what)
        self._dying.add(dead)
        take_over(self.layout, self._outcome, dead, self.name, what, self._pipeline.aside.tried)

    def _recover(self) -> None:
        """Give back what a server of this name had claimed, but for what this one has claimed meanwhile."""
        recover(self.layout, self._outcome, self.name, self._pipeline.has, self._pipeline.aside.tried)

    def _default_at(self, version: int | str) -> Configuration:
        return self._store.version(version) if isinstance(version, int) else self._store.current()

    # ------------------------------------------------------------ what others see

    def _write_snapshot(self, *, at_once: bool = False) -> None:
        self._board.write(self._intake.waiting(), at_once=at_once)

    def _write_heartbeat(self, *, stopped: bool = False) -> None:
        beat = self._facts(stopped)
        now = time.monotonic()
        if beat == self._beat and now - self._beat_at < min(_BEAT_EVERY_S, self.settings.lease_s / 4):
            return
        servers.write_heartbeat(self.layout, {**beat, "updated": self._journal.now()})
        self._beat, self._beat_at = beat, now

    def _facts(self, stopped: bool) -> dict[str, Any]:
        stopped_by = self._troubles[0] if self._troubles else self._pipeline.trouble
        going_on = (*self._pipeline.aside.told().values(), *self._unread())
        return {
            "name": self.name,
            "host": host.host_name(),
            "pid": os.getpid(),
            "user": login_name(),
            "backend": self._backend_name,
            "version": __version__,
            "started": self._started,
            "stopped": stopped,
            "draining": self._closing,
            "running": self._pipeline.job_id,
            "unwell": self._pipeline.illness,
            "announced_bytes": self._pipeline.announced_bytes,
            "config_version": self._store.current().version,
            "config_refused": self._config_refused,
            "instrument": self.instrument,
            "standby": False,
            "watching": self._watching,
            "trouble": stopped_by or next(iter(going_on), None),
            "goes_on": stopped_by is None,
            "aside": self._pipeline.aside.told(),
        }

    def _unread(self) -> list[str]:
        """Return in words which heartbeats of others cannot be read."""
        return [str(each) for each in self._watch.unread.values()]


__all__ = ["Server"]
