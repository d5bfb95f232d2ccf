"""Requests and their answers: cancel, hold, release, move, configuration updates.

A request is taken by renaming it into ``accepting/<server>/``: the rename decides between servers.
A request about a job that another living server runs is left to that server. Carrying a request
out twice changes nothing, so a death before the answer is mended by answering again.
"""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import Limits
from qtrl_spool.config import ConfigStore
from qtrl_spool.errors import (
    InternalError,
    NotFoundError,
    OperatorError,
    QtrlSpoolError,
    StorageError,
    UsageError,
    did_you_mean,
)
from qtrl_spool.job import State, is_id
from qtrl_spool.server import configuring
from qtrl_spool.server.box import Box
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.spool import drops, requests
from qtrl_spool.spool.accepting import REQUEST
from qtrl_spool.spool.find import is_arriving
from qtrl_spool.spool.journal import Journal, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings
from qtrl_spool.spool.tickets import Place, Tickets, find

_log = logging.getLogger(__name__)
_MOST_TEXT = 65_536
_MORE = {"cancel": {"now"}, "move": {"priority"}, "config": {"base", "reason", "job"}, "rollback": {"reason"}}


class Steering:
    """Answers requests for one server.

    Parameters
    ----------
    layout, settings:
        The spool.
    journal, moves, outcome:
        Of this server.
    server:
        Its name.
    store:
        The default configuration; from now on it asks the spool's policy before a change counts.
    stop_running:
        Called with a job id, why, and whether at once, to stop the job that this server runs.
    was_renamed:
        Whether a path was seen to be renamed in: such a request is whole.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        journal: Journal,
        moves: Tickets,
        outcome: Outcome,
        server: str,
        store: ConfigStore,
        stop_running: Callable[[str, str, bool], None],
        was_renamed: Callable[[Path], bool],
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._journal = journal
        self._moves = moves
        self._outcome = outcome
        self._server = server
        self._store = store
        store.guard = configuring.guard_of(settings.policy, self._is_admin)
        self._stop_running = stop_running
        self._limits = Limits.from_dict(settings.limits)
        self._box = Box[drops.Text](drops.look_text, settings, self._limits, was_renamed)
        self._folder = layout.accepting_by(server)

    @property
    def recheck_after_s(self) -> float | None:
        """When an unfinished request should be looked at again; None if there is none."""
        return self._box.recheck_after_s

    def scan(self) -> int:
        """Answer every request that is whole and ours. Return how many."""
        for name in fs.names(self._folder):
            if name.startswith(REQUEST):
                self._answer(self._folder / name, name.removeprefix(REQUEST))
        found = requests.pending(self._layout)
        self._box.begin(self._layout.requests / name for name in found)
        return sum(self._look(name) for name in found)

    def _look(self, name: str) -> int:
        path = self._layout.requests / name
        seen = self._box.look(path)
        if seen is None or (isinstance(seen, drops.Text) and self._must_wait(seen.tree)):
            return 0
        target = self._folder / f"{REQUEST}{name}"
        if not fs.move(path, target, durable=self._settings.durable):
            return 0
        self._answer(target, name)
        return 1

    def _must_wait(self, tree: object) -> bool:
        """Whether the request is about a job that another server runs, or that is not accepted yet."""
        verb = _verb(tree) if isinstance(tree, Mapping) else None
        if verb is None or not isinstance(tree, Mapping) or not is_id(str(tree[verb])):
            return False
        place = find(self._layout, str(tree[verb]))
        if place is None:
            return is_arriving(self._layout, str(tree[verb]))
        return place.state is State.RUNNING and place.server != self._server

    # ------------------------------------------------------------ answer

    def _answer(self, taken: Path, name: str) -> None:
        tree: Mapping[str, Any] | None = None
        try:
            tree = self._read(taken)
            reply: dict[str, Any] = {"ok": True, **self._carry_out(tree, self._who(taken), name)}
        except (StorageError, OSError):
            raise
        except QtrlSpoolError as error:
            reply = {"ok": False, "message": str(error), "error": error.record(), **_all_of(error)}
        except Exception as error:  # noqa: BLE001 - no request, whatever is in it, may stop the server
            _log.exception("cannot carry out %s", name)
            mistake = InternalError(f"{type(error).__name__}: {str(error)[:200]}", hint="please report it")
            reply = {"ok": False, "message": str(mistake), "error": mistake.record()}
        reply |= {"at": self._journal.now(), "by": self._server}
        if fs.is_folder(taken):
            fs.move(taken, self._layout.answered / f"{name}.folder")
        requests.settle(self._layout, name, tree or _text_of(taken), reply)
        fs.remove(taken)
        _log.info("request %s: %s", name, reply["message"])

    def _read(self, taken: Path) -> Mapping[str, Any]:
        seen = drops.look_text(
            taken, drops.Stillness(), now=0.0, limits=self._limits, settle_s=0.0, abandoned_s=0.0
        )
        if isinstance(seen, drops.Text) and isinstance(seen.tree, Mapping):
            return seen.tree
        if isinstance(seen, drops.Bad):
            seen.error.where = (seen.error.where or "").removeprefix(REQUEST) or None
            raise seen.error
        raise UsageError("the request is no mapping", hint="write one such as {cancel: JOB}")

    def _carry_out(self, tree: Mapping[str, Any], uid: int, name: str) -> dict[str, Any]:
        verb = _checked_verb(tree)
        if verb in {"config", "rollback"}:
            return self._configure(tree, uid, name)
        place = self._place(str(tree[verb]), uid)
        carry_out = {
            "cancel": self._cancel,
            "hold": self._hold,
            "release": self._release,
            "move": self._move,
        }[verb]
        return {"message": carry_out(place, tree, fs.user_name(uid))}

    def _place(self, job_id: str, uid: int) -> Place:
        place = find(self._layout, job_id) if is_id(job_id) else None
        if place is None:
            record = read_status(self._layout, job_id) if is_id(job_id) else None
            state = f": it is {record['state']}" if record else ""
            raise NotFoundError(f"there is no job {job_id!r} in the queue{state}", hint="name the full id")
        owner = self._journal.record(job_id).get("uid")
        if uid != owner and not self._is_admin(uid):
            raise UsageError(
                f"job {job_id} belongs to {fs.user_name(owner) if owner is not None else 'somebody else'}, "
                f"not to {fs.user_name(uid)}",
                hint="its owner or an admin (spool.yaml: admins) can steer it",
            )
        return place

    def _is_admin(self, uid: int) -> bool:
        own = os.getuid() if hasattr(os, "getuid") else uid
        return uid in {0, own} or fs.user_name(uid) in self._settings.admins

    @staticmethod
    def _who(path: Path) -> int:
        facts = fs.facts(path)
        return facts.st_uid if facts else -1

    # ------------------------------------------------------------ jobs

    def _cancel(self, place: Place, tree: Mapping[str, Any], user: str) -> str:
        job_id, why = place.ticket.job_id, f"cancelled by {user}"
        if place.state is State.CANCELLED:
            return f"{job_id} was cancelled already"
        if place.state is State.RUNNING:
            at_once = bool(tree.get("now"))
            self._stop_running(job_id, why, at_once)
            return f"{job_id} stops {'at once' if at_once else 'after this batch'} and publishes nothing"
        _only(place, "cancelled", State.QUEUED, State.HELD)
        if not self._outcome.cancel(place, why):
            raise OperatorError(f"{job_id} moved on while it was being cancelled", hint="ask again")
        return f"{job_id} is cancelled"

    def _hold(self, place: Place, tree: Mapping[str, Any], user: str) -> str:
        del tree
        job_id = place.ticket.job_id
        if place.state is State.HELD:
            return f"{job_id} is held already"
        _only(place, "held", State.QUEUED)
        self._moved(place, self._moves.hold, "held", reason=f"held by {user}")
        return f"{job_id} is held"

    def _release(self, place: Place, tree: Mapping[str, Any], user: str) -> str:
        del tree
        job_id = place.ticket.job_id
        if place.state is State.QUEUED:
            return f"{job_id} is not held"
        _only(place, "released", State.HELD)
        self._moved(place, self._moves.enqueue, "released", released_by=user)
        return f"{job_id} is released"

    def _move(self, place: Place, tree: Mapping[str, Any], user: str) -> str:
        if "priority" not in tree:
            raise UsageError("the request names no priority", hint="write {move: JOB, priority: urgent}")
        priority = self._layout.priority(str(tree["priority"]))
        _only(place, "moved", State.QUEUED, State.HELD)
        self._moved(
            place,
            lambda each: self._moves.reprioritize(each, priority),
            "moved",
            priority=priority,
            moved_by=user,
        )
        return f"{place.ticket.job_id} has priority {priority} now"

    def _moved(self, place: Place, move: Callable[[Place], Place | None], event: str, **details: Any) -> None:
        job_id = place.ticket.job_id
        self._outcome.open(job_id)
        if move(place) is None:
            self._outcome.close(job_id)
            raise OperatorError(f"{job_id} moved on meanwhile", hint="look at its status and ask again")
        self._journal.note(job_id, place.ticket.claim, event, **details)
        self._outcome.close(job_id)

    # ------------------------------------------------------------ configuration

    def _configure(self, tree: Mapping[str, Any], uid: int, name: str) -> dict[str, Any]:
        new = configuring.carry_out(self._store, tree, uid, name=name, now=self._journal.now())
        message = f"the default configuration is version {new.version} now"
        return {"message": message, "version": new.version}


def _all_of(error: QtrlSpoolError) -> dict[str, Any]:
    """Return every problem of an error that has several, one sentence each."""
    problems = getattr(error, "problems", ())
    return {"problems": [str(each) for each in problems]} if problems[1:] else {}


def _text_of(path: Path) -> dict[str, Any]:
    """Return what a request that cannot be read said, as far as it is text."""
    facts = fs.facts(path)
    data = fs.read(path) if facts is not None and facts.st_size <= _MOST_TEXT else None
    return {} if data is None else {"request": data.decode(errors="replace")}


def _verb(tree: Mapping[str, Any]) -> str | None:
    found = [verb for verb in requests.VERBS if verb in tree]
    return found[0] if len(found) == 1 else None


def _checked_verb(tree: Mapping[str, Any]) -> str:
    verb = _verb(tree)
    if verb is None:
        raise UsageError(
            f"a request names one of {', '.join(requests.VERBS)}; "
            f"this one has {', '.join(map(str, tree)) or 'nothing'}",
            hint="for instance {cancel: 20261123-101530-rabi-k3f9x}",
        )
    known = {verb} | _MORE.get(verb, set())
    for key in tree:
        if key not in known:
            raise UsageError(
                f"{verb!r} knows no {key!r}",
                hint=did_you_mean(str(key), known) or f"it knows {', '.join(sorted(known))}",
            )
    return verb


def _only(place: Place, participle: str, *states: State) -> None:
    if place.state not in states:
        raise UsageError(
            f"{place.ticket.job_id} is {place.state} and cannot be {participle}",
            hint=f"that can be done to jobs that are {' or '.join(states)}",
        )


def login_name() -> str:
    """Return the name of the user that this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
