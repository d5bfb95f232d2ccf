"""The default configuration of a spool in all its versions: read by everybody, changed by the server.

Owns everything under ``config/`` of a spool: ``current/`` (the YAML files as people edit them, and
``.version``: which version they show), ``versions/`` and ``log.jsonl`` (see ``versions``).

A change is made in three steps, each an atomic rename: the files of the new version, its
``version.json`` (now it counts), the files in ``current/``. Whoever reads takes the newest version
that counts, so nobody meets half a change, and a death in between loses nothing: what follows from a
version is done again by the next `ConfigStore.refresh`.

Called by: the server (`refresh`, `update`, `rollback`), everybody (`current`, `version`, `log`, `diff`).
Fails: `ConfigError`, `PatchError` if a change is refused, `ConfigConflictError` if another change came
first, `NotFoundError` for a version that never was, `StorageError` for one that a share does not show.

Known limits: two servers that change the configuration exclude each other by a kernel lock
(``config/.lock``), which does not reach from host to host on every share; a save by an editor within
the milliseconds in which an update rewrites the same file is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from qtrl_spool import fs, host
from qtrl_spool.config.configuration import Configuration
from qtrl_spool.config.documents import document_name
from qtrl_spool.config.edit import edited
from qtrl_spool.config.load import is_document, read_document
from qtrl_spool.config.versions import SHOWS, Versions, changes_between, not_seen, sentence_of, told
from qtrl_spool.errors import ConfigConflictError, ConfigError, NotFoundError, StorageError

Guard = Callable[[int, Sequence[Mapping[str, Any]]], None]
_LOCK_S = 10.0
_TOLD_VERSIONS = 3
_REMEMBERED = 4


@lru_cache(_REMEMBERED)
def _parsed(texts: tuple[tuple[str, str], ...], n: int) -> Configuration:
    """Return version `n` by its texts; whoever asks for it again in this process shares it."""
    return Configuration.from_texts(dict(texts), version=n)


class ConfigStore:
    """The default configuration of one spool.

    Parameters
    ----------
    folder:
        ``config/`` of the spool.
    settle_s:
        An edit by hand that takes something away, or does not end its last line, counts when it has
        stood still for so long, in s: it may be a file that is still being written.
    durable:
        Whether what is acknowledged survives a power cut.
    clock:
        Tells monotonic time, s: a wall clock may jump.

    Attributes
    ----------
    guard:
        Called with a user's number and what they change (``{path, old, new}``) before it counts; raises
        `ConfigError` to refuse it. The server puts its policy there; without it everybody may everything.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settle_s: float = 2.0,
        durable: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.guard: Guard = _everybody
        self.folder = folder
        self.settle_s = settle_s
        self.durable = durable
        self._clock = clock
        self._versions = Versions(folder, durable=durable)
        self._cached: Configuration | None = None
        self._seen: Any = None
        self._refusal: str | None = None
        self._still: tuple[Any, float] | None = None

    @classmethod
    def create(
        cls, folder: Path, texts: Mapping[str, str], *, who: str, why: str, now: str, durable: bool = True
    ) -> ConfigStore:
        """Make a store whose version 1 are the YAML files `texts`, by file name.

        Raises
        ------
        ConfigError
            All that is wrong with them.
        """
        store = cls(folder, durable=durable)
        if store._versions.newest():
            raise ConfigError(f"there is a configuration in {folder} already", hint="change it with update")
        about = {"who": who, "why": why, "when": now, "changes": []}
        store._commit(0, texts, Configuration.from_texts(texts), about)
        return store

    def current(self) -> Configuration:
        """Return the version that counts; the same object as long as it is the same version."""
        newest = self._versions.newest()
        if newest == 0:
            if shown := self._versions.shown():
                raise not_seen(shown)
            raise NotFoundError(
                f"there is no configuration in {self.folder}", hint="make the spool with init"
            )
        cached = self._cached
        if cached is None or cached.version != newest:
            self._cached = cached = self.version(newest)
        return cached

    def version(self, n: int, *, was_there: bool = False) -> Configuration:
        """Return version `n`; `was_there` says that it was seen before, by whomever.

        Raises
        ------
        NotFoundError
            If there never was such a version.
        StorageError
            If it is not seen at present.
        """
        cached = self._cached
        if cached is not None and cached.version == n:
            return cached
        return _parsed(tuple(sorted(self._versions.texts(n, was_there=was_there).items())), n)

    def texts(self, n: int) -> dict[str, str]:
        """Return the YAML files of version `n`, by file name."""
        return self._versions.texts(n)

    def log(self) -> list[dict[str, Any]]:
        """Return one entry for each version (version, who, why, when, base, sha256, changes), oldest first.

        An edit by hand that was refused has an entry too: version null, when, refused.
        """
        return self._versions.log()

    def diff(self, a: int, b: int | None = None) -> str:
        """Return what differs from version `a` to version `b` (the one that counts), a line for each path."""
        old = self.version(a)
        new = self.current() if b is None else self.version(b)
        return "\n".join(sentence_of(each) for each in changes_between(old, new))

    def update(
        self,
        patch: Mapping[Any, Any],
        *,
        base: int | None,
        who: str,
        why: str,
        now: str,
        uid: int | None = None,
        job: str | None = None,
        request: str | None = None,
    ) -> Configuration:
        """Make a new version with the values of `patch`. Only the server calls this.

        Parameters
        ----------
        patch:
            Keyed by document.
        base:
            The version that the change was thought for; None for whichever counts now.
        who, why, now:
            For the log; `why` may not be empty.
        uid:
            The user's number, for the log and for `guard`; None is not guarded.
        job:
            Id of the job that found the values, for the log.
        request:
            Name of what asked for the change: asked again under that name, nothing changes.

        Returns
        -------
        Configuration
            The new version, or the present one if nothing changes.

        Raises
        ------
        ConfigConflictError
            If another version came after `base`.
        ConfigError
            If the patch is refused, or a refused edit stands in a file that would be written.
        """
        _need_reason(why)
        with self._locked():
            self._refresh(now)
            old = self.current()
            if self._carried_out(request):
                return old
            self._refuse_conflict(base, old)
            about = _about(who=who, uid=uid, why=why, when=now, job=job, request=request)
            return self._change(old, old.merged(patch), about)

    def _carried_out(self, request: str | None) -> bool:
        return request is not None and any(entry.get("request") == request for entry in self.log())

    def rollback(
        self,
        n: int,
        *,
        who: str,
        why: str,
        now: str,
        uid: int | None = None,
        request: str | None = None,
    ) -> Configuration:
        """Make a new version that equals version `n`; see `update`. Only the server calls this."""
        _need_reason(why)
        with self._locked():
            self._refresh(now)
            old, texts = self.current(), self.texts(n)
            if self._carried_out(request):
                return old
            new = Configuration.from_texts(texts)
            found = list(changes_between(old, new))
            about = _about(who=who, uid=uid, why=why, when=now, rollback_to=n, request=request)
            self._ask_guard(uid, found)
            before = self.texts(_number(old))
            self._refuse_clash([name for name in texts if texts[name] != before.get(name)], before)
            return self._commit(_number(old), texts, new, {**about, "changes": found}, like=n)

    def refresh(self, *, now: str) -> str | None:
        """Take in what people changed in ``current/``, and finish what a death interrupted.

        Only the server calls this. Cheap when nothing changed.

        Returns
        -------
        str or None
            Why an edit in ``current/`` does not count; None if there is none, or it counts now.
        """
        if self._still is None and self._seen is not None and self._seen == self._signature():
            return self._refusal
        with self._locked():
            return self._refresh(now)

    def _refresh(self, now: str) -> str | None:
        self._recover()
        signature = self._signature()
        try:
            self._take_edit(signature, now)
            self._refusal = None
        except ConfigError as error:
            self._note_refusal(error.report(), now)
        self._seen = (
            signature  # of before it was read: what somebody writes meanwhile is found by the next look
        )
        return self._refusal

    def _note_refusal(self, sentence: str, now: str) -> None:
        if sentence != self._refusal and self._still is None:
            logged = self._versions.log()
            if not logged or logged[-1].get("refused") != sentence:
                self._versions.append({"version": None, "when": now, "refused": sentence})
        self._refusal = sentence

    def _take_edit(self, signature: Any, now: str) -> None:
        """Make a version of what people changed; nothing if they changed nothing."""
        old = self.current()
        before = self.texts(_number(old))
        texts = self._current_texts()
        missing = [name for name in before if name not in texts]
        if missing:
            self._still = None
            raise ConfigError(
                f"config/current/{missing[0]} is gone",
                hint="put it back, or take the document out with an update: {name: !delete}",
            )
        files = [name for name, text in texts.items() if before.get(name) != text]
        if not files:
            self._still = None
            return
        new, found = self._checked(old, texts, files)
        self._wait_until_still(signature, found, [texts[name] for name in files])
        why = f"edited by hand: {', '.join(files)}"
        uid = self._owner(files[0])
        about = _about(who=host.user_name(uid), uid=uid, why=why, when=now, changes=found)
        self._commit(_number(old), texts, new, about)

    def _checked(
        self, old: Configuration, texts: Mapping[str, str], files: list[str]
    ) -> tuple[Configuration, list[dict[str, Any]]]:
        """Return what an edit of `files` makes of `old`, and its changes, if it may count."""
        try:
            new = Configuration.from_texts(texts)
            found = list(changes_between(old, new))
            _refuse_derived(new, found)
            for name in files:
                self._ask_guard(self._owner(name), [each for each in found if _is_in(name, each)])
        except ConfigError:
            self._still = None
            raise
        return new, found

    def _wait_until_still(self, signature: Any, found: list[dict[str, Any]], texts: list[str]) -> None:
        """Refuse for now what may be a file that is still being written."""
        files, now = signature[1], self._clock()
        waited = self._still is not None and self._still[0] == files
        whole = all(text.endswith("\n") for text in texts) and not any(map(_takes_away, found))
        if whole or (self._still and waited and now - self._still[1] >= self.settle_s):
            self._still = None
            return
        if not waited:
            self._still = (files, now)
        raise ConfigError(
            "an edit in config/current takes something away, or does not end its last line",
            hint=f"it counts when it has stood still for {self.settle_s:g} s",
        )

    def _refuse_conflict(self, base: int | None, old: Configuration) -> None:
        newest = _number(old)
        if base is None or base == newest:
            return
        if base > newest:
            raise NotFoundError(
                f"there is no version {base} of the configuration", hint=f"the newest is {newest}"
            )
        others = [self._versions.record(n) for n in range(base + 1, newest + 1)]
        since = "; ".join(told(each) for each in others[-_TOLD_VERSIONS:])
        raise ConfigConflictError(
            f"the configuration is at version {newest}, the change was made for {base}; since then: {since}",
            hint=f"look at it, then say it again for version {newest}",
        )

    def _change(self, old: Configuration, new: Configuration, about: dict[str, Any]) -> Configuration:
        """Write what differs from `old` to `new` into the texts and make a version of them."""
        found = list(changes_between(old, new))
        if not found:
            return old
        self._ask_guard(about.get("uid"), found)
        before = self.texts(_number(old))
        texts = edited(before, old.documents, new.documents)
        self._refuse_clash(
            [name for name in {*texts, *before} if texts.get(name) != before.get(name)], before
        )
        return self._commit(_number(old), texts, Configuration.from_texts(texts), {**about, "changes": found})

    def _refuse_clash(self, written: list[str], before: Mapping[str, str]) -> None:
        """Refuse to write over a file in ``current/`` that holds an edit which does not count."""
        for name in written:
            text = read_document(self.folder / "current" / name)
            if text is not None and text != before.get(name):
                raise ConfigError(
                    f"config/current/{name} holds an edit that does not count: {self._refusal}",
                    hint="mend or undo that edit first",
                )

    def _commit(
        self,
        base: int,
        texts: Mapping[str, str],
        new: Configuration,
        about: Mapping[str, Any],
        *,
        like: int = 0,
    ) -> Configuration:
        """Make version ``base + 1`` and do all that follows from it."""
        record = self._versions.add(texts, new, about, base=base, like=like)
        before = self.texts(base) if base else {}
        self._finish(record, texts, before)
        self._cached = new.at_version(base + 1)
        return self._cached

    def _finish(self, record: Mapping[str, Any], texts: Mapping[str, str], before: Mapping[str, str]) -> None:
        """Do what follows from a version that counts: its line in the log, its files in ``current/``.

        A file there that holds neither the version `before` nor this one is somebody's edit: it stays.
        """
        self._versions.tell(record)
        folder = self.folder / "current"
        fs.make_folder(folder, durable=self.durable)
        for name in {*texts, *before}:
            data = fs.read(folder / name)
            wanted, old = (side[name].encode() if name in side else None for side in (texts, before))
            if data == wanted or data not in (old, None):
                continue
            if wanted is None:
                fs.remove(folder / name)
            else:
                fs.replace(folder / name, wanted, durable=self.durable, mode=0o664)
        fs.replace(folder / SHOWS, f"{record['version']}\n".encode(), durable=self.durable)
        self._seen = None

    def _recover(self) -> None:
        """Finish the newest version if whoever made it died before it was shown in ``current/``."""
        newest, shown = self._versions.newest(), self._versions.shown()
        if shown > newest:
            raise not_seen(shown)
        if shown < newest:
            before = self.texts(shown) if shown else {}
            self._finish(self._versions.record(newest), self.texts(newest), before)

    def _current_texts(self) -> dict[str, str]:
        folder = self.folder / "current"
        names = [name for name in fs.names(folder) if is_document(name)]
        return {name: text for name in names if (text := read_document(folder / name)) is not None}

    def _signature(self) -> Any:
        """Return what tells whether anything changed since one looked last."""
        folder = self.folder / "current"
        looks = ((name, fs.facts(folder / name)) for name in fs.names(folder) if is_document(name))
        files = tuple((name, look.st_mtime_ns, look.st_size, look.st_ino) for name, look in looks if look)
        return (self._versions.newest(), files)

    def _owner(self, name: str) -> int:
        facts = fs.facts(self.folder / "current" / name)
        return facts.st_uid if facts else -1

    def _ask_guard(self, uid: int | None, found: Sequence[Mapping[str, Any]]) -> None:
        if uid is not None:
            self.guard(uid, found)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of all who change the configuration."""
        from filelock import FileLock, Timeout

        fs.make_folder(self.folder, durable=self.durable)
        lock = FileLock(self.folder / ".lock", timeout=_LOCK_S, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise StorageError(
                f"another server has been changing the configuration for {_LOCK_S:g} s",
                hint="look at its log",
            ) from error
        except OSError:
            with fs.reporting("lock", self.folder / ".lock"):
                raise
        try:
            yield
        finally:
            with suppress(OSError):  # the share was away meanwhile: the lock is lost already
                lock.release()


def _everybody(uid: int, found: Sequence[Mapping[str, Any]]) -> None:
    """Let everybody change everything."""


def _about(**facts: Any) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value is not None}


def _is_in(file_name: str, change: Mapping[str, Any]) -> bool:
    return str(change["path"]).partition("/")[0] == document_name(file_name)


def _number(configuration: Configuration) -> int:
    return configuration.version or 0


def _need_reason(why: str) -> None:
    if not why.strip():
        raise ConfigError("a change of the default configuration needs a reason", hint="say why, with -m")


def _takes_away(change: Mapping[str, Any]) -> bool:
    old, new = change.get("old"), change.get("new")
    if "new" not in change:
        return True
    return isinstance(old, list | dict) and (not isinstance(new, type(old)) or len(new) < len(old))


def _refuse_derived(new: Configuration, found: list[dict[str, Any]]) -> None:
    """Refuse an edit that gives a derived variable a value which does not follow."""
    for change in found:
        path = change["path"].removeprefix("variables/")
        derivation = new.derived.get(path) if path != change["path"] else None
        said = change.get("new")
        if derivation and isinstance(said, int | float) and abs(said - derivation.value) > 1e-9 * abs(said):
            raise ConfigError(
                f"it is derived: {derivation.formula} = {derivation.value}, not {said}",
                where=change["path"],
                hint=f"set variables/{derivation.terms[0][1]} instead",
            )
