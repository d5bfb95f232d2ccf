"""Asking a server for something: drop a request, wait for its answer.

`ask` is what every request of the client goes through; `Steered` are the requests about one job, and
`client.Job` is one. A request needs no server to be made: it lies in ``requests/`` until one answers it.

Fails: with the server's own refusal as an exception; `WaitTimeoutError` if no server answered in time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from qtrl_spool.errors import QtrlSpoolError, WaitTimeoutError, from_record
from qtrl_spool.job import State
from qtrl_spool.spool import find, requests
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import is_durable

ANSWER_TIMEOUT_S = 10.0
_FIRST_LOOK_S, _LATER_LOOK_S = 0.02, 0.5
_FIRST_LOOK_FOR_ANSWER_S, _LATER_LOOK_FOR_ANSWER_S = 0.004, 0.05
WAITS = "the request waits in requests/ and is answered when one starts"
NOTHING_TO_DRAIN = "there is nothing to drain, and one that starts will not drain because of this"


def post(layout: Layout, request: Mapping[str, Any]) -> str:
    """Drop a request and return the name of its file; nobody waits for the answer."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{os.urandom(3).hex()}.yaml"
    requests.send(layout, request, name, durable=is_durable(layout.mark))
    return name


def ask(
    layout: Layout,
    request: Mapping[str, Any],
    *,
    timeout: float | None = ANSWER_TIMEOUT_S,
    asked: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Drop a request and wait for its answer.

    Parameters
    ----------
    layout:
        The spool.
    request:
        Such as ``{'hold': JOB}``, with full ids.
    timeout:
        In s; None waits for ever; 0 does not wait: the answer is ``{'ok': None, 'request': its name}``.
    asked:
        Called when the request lies there, before its answer is waited for.

    Raises
    ------
    QtrlSpoolError
        If it was refused, with the server's reason.
    WaitTimeoutError
        If no server answered in time; the request stays and will be answered.
    """
    name = post(layout, request)
    if asked is not None:
        asked()
    if timeout == 0:
        return {"ok": None, "message": f"asked for, in requests/{name}", "request": name}
    reply = poll(
        lambda: requests.answer(layout, name),
        timeout,
        first=_FIRST_LOOK_FOR_ANSWER_S,
        longest=_LATER_LOOK_FOR_ANSWER_S,
    )
    if reply is None:
        raise _unanswered(layout, name, timeout, waits=NOTHING_TO_DRAIN if "drain" in request else WAITS)
    if not reply.get("ok"):
        raise from_record(reply.get("error") or {"type": "JobFailedError", "message": reply.get("message")})
    return dict(reply)


def _unanswered(layout: Layout, name: str, timeout: float | None, *, waits: str) -> WaitTimeoutError:
    is_served = any(server["alive"] for server in find.servers(layout))
    said = f"no server answered within {timeout:g} s" if is_served else f"no server is running: {waits}"
    hint = (
        "remove the file to take it back"
        if not is_served
        else ("the request stays and is answered when a server can; remove the file to take it back")
    )
    return WaitTimeoutError(said, where=f"requests/{name}", hint=hint)


class Steered:
    """A job, as far as a server is asked to do something with it.

    Every one of these waits for the answer at most `timeout` s and raises what the server refused; with
    ``timeout=0`` it only asks.
    """

    id: str
    asked: Callable[[], object] | None = None
    """Called whenever a request lies there, before its answer is waited for."""
    _layout: Layout

    def ask(
        self, verb: str, more: Mapping[str, Any] | None = None, *, timeout: float | None = ANSWER_TIMEOUT_S
    ) -> str:
        """Ask for something to be done with the job; return the answer in words."""
        given = {key: value for key, value in (more or {}).items() if value is not None}
        request = {verb: self.id, **given}
        return str(ask(self._layout, request, timeout=timeout, asked=self.asked)["message"])

    def cancel(self, *, now: bool = False, timeout: float | None = ANSWER_TIMEOUT_S) -> bool:
        """Cancel the job: a queued one at once, a running one after its batch (`now`: at once).

        Returns
        -------
        bool
            False if it had ended otherwise already.
        """
        if not self._has_ended():
            try:
                self.ask("cancel", {"now": now or None}, timeout=timeout)
            except QtrlSpoolError:
                if not self._has_ended():
                    raise
        return not self._has_ended() or self._state() is State.CANCELLED

    def hold(self, reason: str | None = None, *, timeout: float | None = ANSWER_TIMEOUT_S) -> str:
        """Park the job until it is released; return the answer in words.

        An admin's hold of somebody else's job counts apart: only an admin can release it.
        """
        return self.ask("hold", {"reason": reason}, timeout=timeout)

    def release(self, *, timeout: float | None = ANSWER_TIMEOUT_S) -> str:
        """Let a held job run; return the answer in words."""
        return self.ask("release", timeout=timeout)

    def move(
        self,
        priority: str | int | None = None,
        *,
        before: Steered | str | None = None,
        timeout: float | None = ANSWER_TIMEOUT_S,
    ) -> str:
        """Give the job another priority, or another place; return the answer in words.

        Parameters
        ----------
        priority:
            The job keeps its order among its new equals.
        before:
            Instead: the job next before which it shall run, at that one's priority.
        timeout:
            As for all of these.
        """
        other = before.id if isinstance(before, Steered) else before
        return self.ask("move", {"priority": priority, "before": other}, timeout=timeout)

    def edit(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        unset: Iterable[str] = (),
        patch: str | None = None,
        base: str | None = None,
        timeout: float | None = ANSWER_TIMEOUT_S,
        **manifest: Any,
    ) -> str:
        """Change the patch and the manifest of the job while it waits; return the answer in words.

        It is checked as at acceptance, and either all of it is changed or nothing. A job that a server
        claims in the same moment stays as it is, and that is said.

        Parameters
        ----------
        config:
            A patch, laid over the job's own.
        unset:
            Paths to be taken out of the job's patch, and keys of the manifest that shall be as if they
            were not there.
        patch:
            The whole text of ``config.yaml`` instead.
        base:
            SHA-256 of the bundle that was looked at: if the job has another one by now, that is refused.
        timeout:
            As for all of these.
        **manifest:
            Keys of ``job.yaml`` with new values: ``n_reps``, ``name``, ``tags``, …; None is as in `unset`.
        """
        from qtrl_spool.bundle import Manifest
        from qtrl_spool.config.patches import json_spelling

        keys = [each for each in unset if each in Manifest.__dataclass_fields__]
        given = {key: value for key, value in manifest.items() if value is not None}
        checked = vars(Manifest.from_dict(given))
        told = {key: list(each) if isinstance(each := checked[key], tuple) else each for key in given}
        gone = [key for key in (*keys, *manifest) if key not in given]
        request = {
            "set": json_spelling(config) if config else None,
            "unset": [each for each in unset if each not in keys] or None,
            "manifest": {**told, **dict.fromkeys(gone)} or None,
            "patch": patch,
            "base": base,
        }
        return self.ask("edit", request, timeout=timeout)

    def _state(self) -> State:
        return State(find.status(self._layout, self.id)["state"])

    def _has_ended(self) -> bool:
        return self._state().final


def poll(
    look: Callable[[], Any],
    timeout: float | None,
    *,
    first: float = _FIRST_LOOK_S,
    longest: float = _LATER_LOOK_S,
) -> Any:
    """Call `look` until it returns something, ever less often; None if that takes too long."""
    end = None if timeout is None else time.monotonic() + timeout
    pause = first
    while (found := look()) is None:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return None
        time.sleep(pause if left is None else min(pause, left))
        pause = min(longest, 1.3 * pause)
    return found
