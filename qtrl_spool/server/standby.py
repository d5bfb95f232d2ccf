"""In charge or standing by: who may serve under a name, and who may drive an instrument.

::

    the name's lock (in the spool)  →  the instrument's lock (on this host's disk)  →  in charge

A server whose *name* is taken is refused, or waits if it was started with ``--standby``. A server whose
*instrument* is taken always waits. Whoever waits is visible: a heartbeat with ``standby: true``, under
its own name, or as ``<name>.standby-<host>-<pid>`` while another one bears it. It looks four times a second;
the kernel lets go of both locks when their holder dies, so a death is followed within a second.

A server that takes an instrument over knows which server had it: of that one's name nobody is left, if its
lock is free, too, and what it had claimed in this spool need not wait for the lease.

Called by the main loop. Fails: `ServerNameTakenError`, and as ``server.instrument`` does; trouble of the
storage while it waits is logged and waited out.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qtrl_spool import __version__, fs, host
from qtrl_spool.errors import ServerNameTakenError, StorageError, UsageError
from qtrl_spool.job import utc
from qtrl_spool.server.instrument import InstrumentLock, told
from qtrl_spool.spool import servers, tickets
from qtrl_spool.spool.accepting import is_taken
from qtrl_spool.spool.edits import is_edit
from qtrl_spool.spool.find import arriving
from qtrl_spool.spool.layout import Layout

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.25
_BEAT_EVERY_S = 5.0
_ALIAS = ".standby-"


@dataclass(frozen=True)
class Me:
    """Who wants to serve.

    Attributes
    ----------
    name, instrument, backend, user:
        As the heartbeat says.
    started:
        When, as records write times.
    """

    name: str
    instrument: str
    backend: str
    user: str
    started: str

    def beat(self, name: str, waits_for: str, *, stopped: bool = False) -> dict[str, Any]:
        """Return the heartbeat of this server while it stands by, under `name`."""
        return {
            "name": name,
            "host": host.host_name(),
            "pid": os.getpid(),
            "user": self.user,
            "backend": self.backend,
            "instrument": self.instrument,
            "version": __version__,
            "started": self.started,
            "updated": utc(datetime.now(UTC)),
            "stopped": stopped,
            "standby": True,
            "waits_for": waits_for,
            "running": None,
            "config_version": None,
            "config_refused": None,
            "watching": None,
            "trouble": None,
        }


class Charge:
    """Being in charge of a name and an instrument.

    Parameters
    ----------
    layout:
        The spool.
    me:
        Who is in charge.
    lock:
        Of the instrument; None if it is the server's own.
    before:
        What the instrument's last holder wrote about itself.
    """

    def __init__(
        self, layout: Layout, me: Me, lock: InstrumentLock | None, before: Mapping[str, Any]
    ) -> None:
        self._layout = layout
        self._me = me
        self._lock = lock
        self._before = before

    def look_after(self) -> None:
        """Look whether the instrument is still ours; raises `OperatorError` if it is not."""
        if self._lock is not None:
            self._lock.look_after()

    def inherit(self, take_over: Callable[[str], None]) -> None:
        """Call `take_over` with who had the instrument, if it served this spool and is surely dead."""
        name = str(self._before.get("server"))
        if name == self._me.name or self._before.get("spool") != _path(self._layout):
            return
        with suppress(UsageError, ServerNameTakenError):
            beat = fs.read_json(self._layout.heartbeat(servers.check_name(name))) or {}
            if beat.get("host") == host.host_name():
                with servers.holding_name(self._layout, name):
                    take_over(name)


@contextmanager
def in_charge(
    layout: Layout,
    me: Me,
    lock: InstrumentLock | None,
    *,
    may_wait: bool,
    is_over: Callable[[], bool],
    pause: Callable[[float], None],
) -> Iterator[Charge | None]:
    """Hold a server's name and instrument; wait for them as a standby where that is allowed.

    Parameters
    ----------
    layout:
        The spool.
    me:
        Who wants to serve.
    lock:
        Of the instrument; None if it is the server's own.
    may_wait:
        Whether to wait for the name, too.
    is_over:
        Returns whether the server was told to end.
    pause:
        Waits for so long (s), or until there is a reason not to.

    Yields
    ------
    Charge | None
        None if the server was told to end while it stood by.
    """
    clear_gone(layout)
    waiting = _Waiting(layout, me, is_over, pause)
    with ExitStack() as held:
        before: dict[str, Any] = {}
        mine = waiting.for_name(held, may_wait=may_wait)
        if mine and lock is not None:
            held.callback(lock.release)
            mine = waiting.for_instrument(lock, before)
        yield Charge(layout, me, lock, before) if mine else None


class _Waiting:
    """The time before a server is in charge; parameters as of `in_charge`."""

    def __init__(
        self, layout: Layout, me: Me, is_over: Callable[[], bool], pause: Callable[[float], None]
    ) -> None:
        self._layout = layout
        self._me = me
        self._is_over = is_over
        self._pause = pause
        self._beat_at = -_BEAT_EVERY_S
        self._troubles: set[str] = set()

    def for_name(self, held: ExitStack, *, may_wait: bool) -> bool:
        """Hold the lock of the server's name; False if told to end before."""
        name = self._me.name

        def takes() -> bool:
            with suppress(ServerNameTakenError):
                held.enter_context(servers.holding_name(self._layout, name))
                return True
            return False

        if not may_wait:
            held.enter_context(servers.holding_name(self._layout, name))
            return True
        alias = f"{name}{_ALIAS}{host.host_name()}-{os.getpid()}"
        try:
            return self._tried(takes) or self._until(
                takes, alias, lambda: f"the name {name!r}: {servers.holder(self._layout, name)}"
            )
        finally:
            with suppress(StorageError):
                fs.remove(self._layout.heartbeat(alias))

    def for_instrument(self, lock: InstrumentLock, before: dict[str, Any]) -> bool:
        """Hold the lock of the instrument; False if told to end before. `before` learns who had it."""
        me = self._me
        about = {
            "server": me.name, "spool": _path(self._layout), "instrument": me.instrument,
            "host": host.host_name(), "pid": os.getpid(), "user": me.user, "started": me.started,
        }  # fmt: skip

        def takes() -> bool:
            before.update(lock.holder())
            return lock.take(about)

        if self._tried(takes) or self._until(
            takes, me.name, lambda: f"instrument {me.instrument!r}: {told(lock.holder())} drives it"
        ):
            return True
        self._beat(me.name, str, stopped=True)
        return False

    def _until(self, takes: Callable[[], bool], name: str, waits_for: Callable[[], str]) -> bool:
        """Wait until something can be taken, and say so under `name` and in the log."""
        has_said, self._beat_at = False, -_BEAT_EVERY_S
        while not self._tried(self._is_over):
            if time.monotonic() - self._beat_at >= _BEAT_EVERY_S:
                said = self._beat(name, waits_for)
                if said is not None and not has_said:
                    _log.info("server %r stands by for %s", self._me.name, said)
                has_said |= said is not None
            self._pause(_LOOK_EVERY_S)
            if self._tried(takes):
                _log.info("server %r is in charge now", self._me.name)
                return True
        return False

    def _beat(self, name: str, waits_for: Callable[[], str], *, stopped: bool = False) -> str | None:
        """Write a heartbeat; return what it says is waited for, None if the storage refused to tell."""
        self._beat_at = time.monotonic()
        said = None
        try:
            said = waits_for()
            servers.write_heartbeat(self._layout, self._me.beat(name, said, stopped=stopped))
        except StorageError as error:
            self._say_trouble(error)
        return said

    def _tried(self, look: Callable[[], bool]) -> bool:
        """Return what `look` does; False where the storage refuses to say, which is told."""
        try:
            return look()
        except StorageError as error:
            self._say_trouble(error)
            return False

    def _say_trouble(self, error: StorageError) -> None:
        if str(error) not in self._troubles:
            _log.warning("storage trouble while standing by: %s", error)
        self._troubles.add(str(error))


def _path(layout: Layout) -> str:
    return str(layout.root.resolve())


def clear_gone(layout: Layout) -> None:
    """Take away what standbys of this host that were killed said of themselves under a name of their own.

    Where the storage refuses that, the next one does it.
    """
    with suppress(StorageError):
        for beat in servers.heard(layout).beats:
            name = str(beat.get("name"))
            if _ALIAS in name and servers.is_gone(beat):
                fs.remove(layout.heartbeat(name))


def has_work(layout: Layout) -> bool:
    """Return whether anything is arriving, waiting or running: a draining standby ends when nothing is."""
    folders = (layout.accepting_by(each) for each in fs.folders(layout.accepting) if each[0] != ".")
    taken = (is_taken(name) or is_edit(name) for folder in folders for name in fs.names(folder))
    return bool(tickets.queued(layout) or tickets.running(layout) or arriving(layout) or any(taken))
