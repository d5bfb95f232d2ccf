"""Requests and their answers: take them one by one, find out whose they are, and answer every one.

::

    requests/<name>  →  accepting/<server>/request~<token>~<name>  →  requests/answered/<name>

A request is taken by renaming it: the rename decides between servers, and the token tells it from every
other request that ever has the same name. A request about a job that another living server runs is left to
that server. Carrying a request out twice changes nothing, so a death before the answer is mended by
answering again. What is done is in ``verbs``, ``pausing`` and ``configuring``.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qtrl_spool import fs, host
from qtrl_spool.bundle import Limits
from qtrl_spool.bundle.names import printable
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.errors import InternalError, QtrlSpoolError, StorageError, UsageError
from qtrl_spool.job import State, is_id
from qtrl_spool.server import configuring, pausing
from qtrl_spool.server.aside import Aside, is_of_one_job
from qtrl_spool.server.asking import Asked, MovedOnError, checked_verb, is_admin, verb_of
from qtrl_spool.server.box import Box
from qtrl_spool.server.editing import Editing
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.verbs import JobVerbs
from qtrl_spool.spool import drops, requests
from qtrl_spool.spool.accepting import parse_taken_request, taken_request
from qtrl_spool.spool.arriving import is_arriving
from qtrl_spool.spool.edits import is_edited
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings
from qtrl_spool.spool.tickets import Tickets, find

_log = logging.getLogger(__name__)
_MOST_TEXT = 65_536
_MOST_TRIES = 3
_CLEAR_EVERY_S = 3600.0


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
    park_running:
        Called with a job id, why, and what notes it before, to stop the job that this server runs after its
        batch, to be held; False if it has measured all and ends anyway.
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
        park_running: Callable[[str, str, Callable[[], object]], bool],
        was_renamed: Callable[[Path], bool],
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._journal = journal
        self._server = server
        self._store = store
        self._limits = Limits.from_dict(settings.limits)
        self._outcome = outcome
        editing = Editing(layout, self._limits, journal, moves, outcome, server, self._default_at)
        self._verbs = JobVerbs(layout, journal, moves, outcome, server, editing, stop_running, park_running)
        store.guard = configuring.guard_of(settings.policy, self._is_admin)
        self._box = Box[drops.Text](drops.look_text, settings, self._limits, was_renamed)
        self._folder = layout.accepting_by(server)
        self._clear_at = 0.0
        self._aside = Aside()

    @property
    def recheck_after_s(self) -> float | None:
        """When an unfinished request should be looked at again; None if there is none."""
        return self._box.recheck_after_s

    def scan(self) -> int:
        """Answer every request that is whole and ours. Return how many.

        Raises
        ------
        StorageError
            If the storage failed for one of them; the others are answered all the same.
        """
        troubles: list[StorageError] = []
        _tried(self._outcome.settle_edits, troubles)
        self._clear_answered()
        n_answered = sum(self._tried_anew(name, troubles) for name in fs.names(self._folder))
        found = requests.pending(self._layout)
        self._box.begin(self._layout.requests / name for name in found)
        n_answered += sum(_tried(partial(self._look, name), troubles) for name in found)
        if troubles:
            raise troubles[0]
        return n_answered

    def _tried_anew(self, token: str, troubles: list[StorageError]) -> bool:
        """Go on with a taken request, unless it rests because the storage refused it a moment ago."""
        if (known := self._aside.rests(token)) is not None:
            troubles.append(known)
            return False
        n_troubles = len(troubles)
        is_answered = _tried(partial(self._go_on, token), troubles)
        if len(troubles) > n_troubles and is_of_one_job(troubles[-1]):
            self._aside.put(token, troubles[-1])
        elif is_answered:
            self._aside.take(token)
        return is_answered

    def _clear_answered(self) -> None:
        """Remove old answers, now and then."""
        if time.monotonic() >= self._clear_at:
            self._clear_at = time.monotonic() + _CLEAR_EVERY_S
            n_cleared = requests.clear_answered(self._layout, now=time.time())
            if n_cleared:
                _log.info("removed %d old answers", n_cleared)

    def _go_on(self, token: str) -> bool:
        """Answer a request that was taken before, by this server or by one that died."""
        name = parse_taken_request(token)
        return name is not None and self._answer(self._folder / token, name, again=True)

    def _look(self, name: str) -> bool:
        path = self._layout.requests / name
        seen = self._box.look(path)
        if seen is None or (isinstance(seen, drops.Text) and self._must_wait(seen.tree)):
            return False
        target = self._folder / taken_request(name, secrets.token_hex(8))
        try:
            return fs.move(path, target, durable=self._settings.durable) and self._answer(target, name)
        except StorageError as trouble:
            if not fs.is_immovable(trouble) or not fs.exists(path):
                raise
            return self._refuse_immovable(name, seen)

    def _refuse_immovable(self, name: str, seen: drops.Text | drops.Bad) -> bool:
        """Say once that what lies there cannot be taken, such as a folder of another user; leave it there."""
        if fs.exists(self._layout.answered / name):
            return False
        error = seen.error if isinstance(seen, drops.Bad) else UsageError("the server may not move the file")
        self._settle(name, None, None, _refusal(error))
        return True

    def _must_wait(self, tree: object) -> bool:
        """Whether the request is about a job that another server runs, or that is not accepted yet."""
        verb = verb_of(tree)
        if verb is None or not isinstance(tree, Mapping) or not is_id(str(tree[verb])):
            return False
        if is_id(str(tree.get("before"))) and is_arriving(self._layout, str(tree["before"])):
            return True
        place = find(self._layout, str(tree[verb]))
        if place is None:
            return is_arriving(self._layout, str(tree[verb])) or is_edited(self._layout, str(tree[verb]))
        return place.state is State.RUNNING and place.server != self._server

    # ------------------------------------------------------------ answer

    def _answer(self, taken: Path, name: str, *, again: bool = False) -> bool:
        """Carry a taken request out and answer it; False if it is put back, for another server."""
        tree: Mapping[str, Any] | None = None
        try:
            seen = self._read(taken)
            tree = seen.tree
            reply = {"ok": True, **self._carry_out(self._asked(seen, taken.name, again=again))}
        except MovedOnError as error:
            if self._must_wait(tree):
                return self._put_back(taken, name)
            reply = _refusal(error)
        except (StorageError, OSError):
            raise
        except QtrlSpoolError as error:
            reply = _refusal(error)
        except Exception as error:  # noqa: BLE001 - no request, whatever is in it, may stop the server
            _log.exception("cannot carry out %s", printable(name))
            told = f"{type(error).__name__}: {str(error)[:200]}"
            reply = _refusal(InternalError(told, hint="please report it"))
        if fs.is_real_folder(taken):
            fs.move(taken, self._layout.answered / f"{name}.folder", durable=self._settings.durable)
        self._settle(name, tree, _text_of(taken), reply)
        fs.remove(taken)
        return True

    def _settle(
        self, name: str, tree: Mapping[str, Any] | None, text: str | None, reply: Mapping[str, Any]
    ) -> None:
        told = {**reply, "at": self._journal.now(), "by": self._server}
        requests.settle(self._layout, name, tree, text, told, durable=self._settings.durable)
        _log.info("request %s: %s", printable(name), reply["message"])

    def _put_back(self, taken: Path, name: str) -> bool:
        target = self._layout.requests / name
        if not fs.exists(target):
            fs.move(taken, target, durable=self._settings.durable)
        return False

    def _read(self, taken: Path) -> drops.Text:
        seen = drops.look_text(
            taken, drops.Stillness(), now=0.0, limits=self._limits, settle_s=0.0, abandoned_s=0.0
        )
        if isinstance(seen, drops.Text) and isinstance(seen.tree, Mapping):
            return seen
        if isinstance(seen, drops.Bad):
            seen.error.where = parse_taken_request(seen.error.where or "") or seen.error.where
            raise seen.error
        if not isinstance(seen, drops.Text):
            raise StorageError(f"the request {printable(taken.name)} cannot be read for the moment")
        raise UsageError("the request is no mapping", hint="write one such as {cancel: JOB}")

    def _asked(self, seen: drops.Text, token: str, *, again: bool) -> Asked:
        verb, user = checked_verb(seen.tree), host.user_name(seen.uid)
        return Asked(seen.tree, verb, printable(token), seen.uid, user, self._is_admin(seen.uid), again)

    def _is_admin(self, uid: int) -> bool:
        own = os.getuid() if hasattr(os, "getuid") else uid
        return is_admin(uid, host.user_name(uid), host.group_names(uid), self._settings.admins, own)

    def _carry_out(self, asked: Asked) -> dict[str, Any]:
        if asked.verb in {"config", "rollback"}:
            return self._configure(asked)
        durable = self._settings.durable
        if asked.verb == "pause":
            return {"message": pausing.pause(self._layout, asked, now=self._journal.now(), durable=durable)}
        if asked.verb == "drain":
            return {"message": pausing.drain(self._layout, asked, now=self._journal.now(), durable=durable)}
        if asked.verb == "resume":
            return {"message": pausing.resume(self._layout, asked, durable=durable)}
        return {"message": self._steer(asked)}

    def _steer(self, asked: Asked) -> str:
        """Carry out what is asked of a job, again if its ticket moved on in the same moment."""
        for _ in range(_MOST_TRIES - 1):
            try:
                return self._verbs.carry_out(asked)
            except MovedOnError:
                continue
        return self._verbs.carry_out(asked)

    # ------------------------------------------------------------ configuration

    def _default_at(self, version: int | str) -> Configuration:
        return self._store.version(version) if isinstance(version, int) else self._store.current()

    def _configure(self, asked: Asked) -> dict[str, Any]:
        new = configuring.carry_out(
            self._store, asked.tree, asked.uid, name=asked.id, now=self._journal.now()
        )
        message = f"the default configuration is version {new.version} now"
        return {"message": message, "version": new.version}


def _tried(do: Callable[[], bool | None], troubles: list[StorageError]) -> bool:
    """Do something with one request; trouble of the storage is added to `troubles` and stops no other one."""
    try:
        return bool(do())
    except StorageError as trouble:
        troubles.append(trouble)
        return False


def _refusal(error: QtrlSpoolError) -> dict[str, Any]:
    """Return the answer that tells every problem of an error, one sentence each."""
    problems = getattr(error, "problems", ())
    more = {"problems": [str(each) for each in problems]} if problems[1:] else {}
    return {"ok": False, "message": str(error), "error": error.record(), **more}


def _text_of(path: Path) -> str | None:
    """Return what a request that cannot be read said, as far as it is text."""
    facts = fs.facts(path)
    if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size > _MOST_TEXT:
        return None
    data = fs.read(path)
    return None if data is None else data.decode(errors="replace")
