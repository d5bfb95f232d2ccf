"""Requests that change the default configuration, and the guard that every change of it passes.

Called by: ``steering``, with a request that names ``config`` or ``rollback``.
Fails: `ConfigError` and its kin if the change is refused, `UsageError` for a request that makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtrl_spool import host
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.config.documents import raise_all
from qtrl_spool.config.patches import without_places
from qtrl_spool.config.store import Guard
from qtrl_spool.errors import UsageError
from qtrl_spool.job import is_id
from qtrl_spool.spool.policy import Person, Policy, refusals


def guard_of(policy: Policy, is_admin: Callable[[int], bool]) -> Guard:
    """Return what refuses the changes that a policy does not allow a user, for `ConfigStore.guard`."""

    def guard(uid: int, changes: Sequence[Mapping[str, Any]]) -> None:
        person = Person(host.user_name(uid), host.group_names(uid), is_admin(uid))
        raise_all(refusals(policy, person, changes))

    return guard


def carry_out(store: ConfigStore, tree: Mapping[str, Any], uid: int, *, name: str, now: str) -> Configuration:
    """Do what a request says and return the version that counts then.

    Parameters
    ----------
    store:
        The default configuration.
    tree:
        ``{config: PATCH, base, reason, job}`` or ``{rollback: VERSION, reason}``, its keys checked.
    uid:
        Whose request it is.
    name:
        Of the request: carried out again under that name, it changes nothing.
    now:
        The time, for the log.
    """
    who = host.user_name(uid)
    why = _reason(tree)
    if "rollback" in tree:
        version = _whole(tree, "rollback") or 0
        return store.rollback(version, who=who, uid=uid, why=why, now=now, request=name)
    return store.update(
        _patch(tree["config"]),
        base=_whole(tree, "base"),
        who=who,
        uid=uid,
        why=why,
        now=now,
        job=_job(tree),
        request=name,
    )


def _reason(tree: Mapping[str, Any]) -> str:
    why = tree.get("reason")
    if not isinstance(why, str) or not why.strip():
        raise UsageError("the request gives no reason", hint="write reason: WHY, one sentence")
    return why.strip()


def _patch(tree: object) -> Mapping[Any, Any]:
    """Return the patch without its places: whoever asks knows paths, not the server's copy of the request."""
    if not isinstance(tree, Mapping):
        raise UsageError(
            f"config is a patch, a mapping of documents, not {tree!r}",
            hint="such as {config: {variables/Q6/freq: 5.41e9}, reason: WHY}",
        )
    patch: Mapping[Any, Any] = without_places(tree)
    return patch


def _whole(tree: Mapping[str, Any], key: str) -> int | None:
    version = tree.get(key)
    if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
        raise UsageError(f"{key} is the number of a version, not {version!r}", hint="see 'config log'")
    return version


def _job(tree: Mapping[str, Any]) -> str | None:
    job = tree.get("job")
    if job is not None and not is_id(str(job)):
        raise UsageError(f"job is the full id of a job, not {job!r}", hint="see 'qtrl-spool jobs'")
    return None if job is None else str(job)
