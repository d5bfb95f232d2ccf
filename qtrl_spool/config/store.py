"""The versions of a spool's default configuration. Owns everything under ``config/``.

::

    config/current/           the YAML files as people edit them, and .version: which version they show
    config/versions/<n>/      the files that version n changed, and version.json: who, when, why, what, and
                              which file of which version makes up the whole. Never changed again.
    config/log.jsonl          one line for each version and for each refused edit

A version *counts* from the moment its ``version.json`` is there; that is one atomic rename. All that
comes after (the line in the log, the files in ``current/``) can be done again from it, and is, by
`ConfigStore.refresh`, after a death in between. Whoever reads takes the newest version, so nobody
meets half an edit.

Called by: the server (`refresh`, `update`, `rollback`), everybody (`current`, `version`, `log`, `diff`).
Fails: `ConfigError`, `PatchError` if a change is refused, `ConfigConflictError` if another change came
first, `NotFoundError` for a version that is not there, `StorageError`.

Known limits: two servers that change the configuration exclude each other by a kernel lock
(``config/.lock``), which does not reach from host to host on every share; a save by an editor within
the milliseconds in which an update rewrites the same file is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.config.configuration import Configuration
from qtrl_spool.config.edit import edited
from qtrl_spool.config.load import is_document, read_document
from qtrl_spool.config.merge import changes
from qtrl_spool.config.tree import Delete, Tree, join_path, plain
from qtrl_spool.errors import ConfigConflictError, ConfigError, NotFoundError, StorageError

FORMAT = "qtrl-config-version/1"
_SHOWS = ".version"
_LOCK_S = 10.0


class ConfigStore:
    """The default configuration of one spool, in all its versions.

    Parameters
    ----------
    folder:
        ``config/`` of the spool.
    settle_s:
        An edit by hand that takes something away, or does not end its last line, is taken when it
        has stood still for so long, in s: it may be a file that is still being written.
    durable:
        Whether what is acknowledged survives a power cut.
    """

    def __init__(self, folder: Path, *, settle_s: float = 2.0, durable: bool = True) -> None:
        self.folder = folder
        self.settle_s = settle_s
        self.durable = durable
        self._cached: Configuration | None = None
        self._seen: Any = None
        self._refusal: str | None = None
        self._still: tuple[Any, str] | None = None

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
        if store._latest():
            raise ConfigError(f"there is a configuration in {folder} already", hint="change it with update")
        new = Configuration.from_texts(texts)
        store._commit(0, dict(texts), {}, new, [], {"who": who, "why": why, "when": now})
        return store

    def current(self) -> Configuration:
        """Return the version that counts; the same object as long as it is the same version."""
        newest = self._latest()
        if newest == 0:
            raise NotFoundError(
                f"there is no configuration in {self.folder}", hint="make the spool with init"
            )
        if self._cached is None or self._cached.version != newest:
            self._cached = self.version(newest)
        return self._cached

    def version(self, n: int) -> Configuration:
        """Return version `n`.

        Raises
        ------
        NotFoundError
            If there is no such version.
        """
        if self._cached is not None and self._cached.version == n:
            return self._cached
        return Configuration.from_texts(self.texts(n), version=n)

    def texts(self, n: int) -> dict[str, str]:
        """Return the YAML files of version `n`, by file name."""
        return {name: self._text(name, entry) for name, entry in self.record(n)["files"].items()}

    def record(self, n: int) -> dict[str, Any]:
        """Return who made version `n`, when, why and what changed."""
        record = fs.read_json(self._version_file(n))
        if record is None:
            raise NotFoundError(f"there is no version {n} of the configuration", hint="see 'config log'")
        return record

    def log(self) -> list[dict[str, Any]]:
        """Return one entry for each version and each refused edit, oldest first."""
        entries = [entry for line in (fs.read_text(self._log) or "").splitlines() if (entry := _entry(line))]
        logged = max((entry["version"] or 0 for entry in entries), default=0)
        return entries + [_log_entry(self.record(n)) for n in range(logged + 1, self._latest() + 1)]

    def diff(self, a: int, b: int | None = None) -> str:
        """Return what differs from version `a` to version `b` (the one that counts), a line for each path."""
        old = self.version(a)
        new = self.current() if b is None else self.version(b)
        return "\n".join(sentence_of(each) for each in _changes(old, new))

    def update(
        self, patch: Mapping[Any, Any], *, base: int | None, who: str, why: str, now: str
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
            self._refuse_conflict(base, old)
            new = old.merged(patch)
            return self._change(old, new, {"who": who, "why": why, "when": now})

    def rollback(self, n: int, *, who: str, why: str, now: str) -> Configuration:
        """Make a new version that equals version `n`. Only the server calls this."""
        _need_reason(why)
        with self._locked():
            self._refresh(now)
            old = self.current()
            texts, files = self.texts(n), self.record(n)["files"]
            new = Configuration.from_texts(texts)
            about = {"who": who, "why": why, "when": now, "rollback_to": n}
            return self._commit(_number(old), texts, files, new, list(_changes(old, new)), about)

    def refresh(self, *, now: str) -> str | None:
        """Take in what people changed in ``current/``, and finish what a death interrupted.

        Only the server calls this. Cheap when nothing changed.

        Returns
        -------
        str or None
            Why an edit in ``current/`` does not count; None if there is none, or it counts now.
        """
        if self._seen is not None and self._seen == self._signature() and self._still is None:
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
        self._seen = signature
        return self._refusal

    def _note_refusal(self, sentence: str, now: str) -> None:
        if sentence != self._refusal and self._still is None:
            entry = {"version": None, "when": now, "refused": sentence}
            fs.append_line(self._log, json.dumps(entry, ensure_ascii=False), durable=self.durable)
        self._refusal = sentence

    def _take_edit(self, signature: Any, now: str) -> None:
        """Make a version of what people changed; nothing if they changed nothing."""
        old = self.current()
        before = self.texts(_number(old))
        texts = self._current_texts()
        edited_files = [name for name, text in texts.items() if before.get(name) != text]
        missing = [name for name in before if name not in texts]
        if missing:
            raise ConfigError(
                f"config/current/{missing[0]} is gone",
                hint="put it back, or take the document out with an update: {name: !delete}",
            )
        if not edited_files:
            self._still = None
            return
        new = Configuration.from_texts(texts)
        found = list(_changes(old, new))
        _refuse_derived(new, found)
        self._wait_until_still(signature, now, found, [texts[name] for name in edited_files])
        who = self._owner(edited_files[0])
        why = f"edited by hand: {', '.join(edited_files)}"
        self._commit(_number(old), texts, {}, new, found, {"who": who, "why": why, "when": now})

    def _wait_until_still(
        self, signature: Any, now: str, found: list[dict[str, Any]], texts: list[str]
    ) -> None:
        """Refuse for now what may be a file that is still being written."""
        whole = all(text.endswith("\n") for text in texts) and not any(map(_takes_away, found))
        if whole or (
            self._still and self._still[0] == signature and _seconds(self._still[1], now) >= self.settle_s
        ):
            self._still = None
            return
        if self._still is None or self._still[0] != signature:
            self._still = (signature, now)
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
        others = [self.record(n) for n in range(base + 1, newest + 1)]
        told = "; ".join(
            f"version {each['version']} by {each['who']} ({each['why']}): {_told(each)}"
            for each in others[-3:]
        )
        raise ConfigConflictError(
            f"the configuration is at version {newest}, the change was made for {base}; since then: {told}",
            hint=f"look at it, then say it again for version {newest}",
        )

    def _change(self, old: Configuration, new: Configuration, about: dict[str, Any]) -> Configuration:
        """Write what differs from `old` to `new` into the texts and make a version of them."""
        found = list(_changes(old, new))
        if not found:
            return old
        before = self.texts(_number(old))
        texts = edited(before, old.documents, new.documents)
        written = [name for name in {*texts, *before} if texts.get(name) != before.get(name)]
        self._refuse_clash(written, before)
        checked = Configuration.from_texts(texts)
        return self._commit(_number(old), texts, {}, checked, found, about)

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
        texts: dict[str, str],
        files: Mapping[str, Any],
        new: Configuration,
        found: list[dict[str, Any]],
        about: dict[str, Any],
    ) -> Configuration:
        """Make version ``base + 1``; `files` are those that are kept already."""
        n = base + 1
        fs.make_folder(self._version_file(n).parent, durable=self.durable)
        kept = dict(self.record(base)["files"]) if base else {}
        entries = {
            name: self._keep(n, name, text, files.get(name), kept.get(name)) for name, text in texts.items()
        }
        record = {"format": FORMAT, "version": n, **about, "base": base, "sha256": new.sha256}
        record |= {"changes": found, "files": entries}
        fs.replace_json(self._version_file(n), record, durable=self.durable)
        self._finish(record, texts)
        self._cached = new.at_version(n)
        return self._cached

    def _keep(self, n: int, name: str, text: str, *known: Any) -> dict[str, Any]:
        """Return where the text of a file is kept, after keeping it if it is not."""
        digest = _digest(text)
        for entry in known:
            if entry and entry["sha256"] == digest:
                return dict(entry)
        fs.replace(self._version_file(n).with_name(name), text.encode(), durable=self.durable)
        return {"version": n, "sha256": digest}

    def _finish(self, record: dict[str, Any], texts: Mapping[str, str]) -> None:
        """Do what follows from a version that counts: the line in the log, the files in ``current/``."""
        self._write_log(record)
        folder = self.folder / "current"
        fs.make_folder(folder, durable=self.durable)
        for name, text in texts.items():
            if fs.read(folder / name) != text.encode():
                fs.replace(folder / name, text.encode(), durable=self.durable, mode=0o664)
        for name in fs.names(folder):
            if is_document(name) and name not in texts:
                fs.remove(folder / name)
        fs.replace(folder / _SHOWS, f"{record['version']}\n".encode(), durable=self.durable)
        self._seen = self._signature()

    def _write_log(self, record: dict[str, Any]) -> None:
        logged = [
            entry["version"]
            for line in (fs.read_text(self._log) or "").splitlines()
            if (entry := _entry(line))
        ]
        if record["version"] not in logged:
            line = json.dumps(_log_entry(record), ensure_ascii=False)
            fs.append_line(self._log, line, durable=self.durable)

    def _recover(self) -> None:
        """Finish the newest version if whoever made it died before it was shown in ``current/``."""
        newest = self._latest()
        shown = int((fs.read_text(self.folder / "current" / _SHOWS) or "0").strip() or 0)
        if newest == 0 or shown == newest:
            return
        texts = self.texts(newest)
        before = self.texts(shown) if shown else {}
        for name in fs.names(self.folder / "current"):
            text = read_document(self.folder / "current" / name) if is_document(name) else None
            if text is not None and text not in (before.get(name), texts.get(name)):
                texts[name] = text
        self._finish(self.record(newest), texts)

    def _latest(self) -> int:
        """Return the number of the newest version; 0 if there is none."""
        n = self._cached.version or 0 if self._cached else 0
        if n == 0:
            numbers = [int(name) for name in fs.names(self.folder / "versions") if name.isdecimal()]
            n = max((each for each in numbers if fs.exists(self._version_file(each))), default=0)
        while n and fs.exists(self._version_file(n + 1)):
            n += 1
        return n

    def _version_file(self, n: int) -> Path:
        return self.folder / "versions" / str(n) / "version.json"

    @property
    def _log(self) -> Path:
        return self.folder / "log.jsonl"

    def _text(self, name: str, entry: Mapping[str, Any]) -> str:
        path = self._version_file(entry["version"]).with_name(name)
        text = read_document(path)
        if text is None or _digest(text) != entry["sha256"]:
            raise StorageError(f"{path} is not as it was kept", hint="restore config/versions from a backup")
        return text

    def _current_texts(self) -> dict[str, str]:
        folder = self.folder / "current"
        names = [name for name in fs.names(folder) if is_document(name)]
        return {name: text for name in names if (text := read_document(folder / name)) is not None}

    def _signature(self) -> Any:
        folder = self.folder / "current"
        looks = ((name, fs.facts(folder / name)) for name in fs.names(folder) if is_document(name))
        files = tuple((name, f.st_mtime_ns, f.st_size, f.st_ino) for name, f in looks if f)
        return (self._latest(), files)

    def _owner(self, name: str) -> str:
        facts = fs.facts(self.folder / "current" / name)
        return fs.user_name(facts.st_uid) if facts else "unknown"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of all who change the configuration."""
        from filelock import FileLock, Timeout

        fs.make_folder(self.folder, durable=self.durable)
        try:
            with FileLock(self.folder / ".lock", timeout=_LOCK_S, thread_local=False):
                yield
        except Timeout as error:
            raise StorageError(
                "another server has been changing the configuration for 10 s", hint="look at its log"
            ) from error


def _number(configuration: Configuration) -> int:
    return configuration.version or 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _need_reason(why: str) -> None:
    if not why.strip():
        raise ConfigError("a change of the default configuration needs a reason", hint="say why, with -m")


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _entry(line: str) -> dict[str, Any] | None:
    """Return what one line of the log says; None for a line torn by a death."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "version" in entry else None


def _log_entry(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("format", "files")}


def _changes(old: Configuration, new: Configuration) -> Iterator[dict[str, Any]]:
    """Yield what differs as written, as the log keeps it: a missing side is left out."""
    for path, before, after in changes(Tree(old.documents), Tree(new.documents)):
        sides = {
            name: plain(side)
            for name, side in (("old", before), ("new", after))
            if not isinstance(side, Delete)
        }
        yield {"path": join_path(path), **sides}


def _takes_away(change: Mapping[str, Any]) -> bool:
    old, new = change.get("old"), change.get("new")
    return "new" not in change or (
        isinstance(old, list | dict) and (not isinstance(new, type(old)) or len(new) < len(old))
    )


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


def sentence_of(change: Mapping[str, Any]) -> str:
    """Return one change as a line: ``variables/Q6/freq: 5413756739.0 → 5410000000.0``."""
    if "old" not in change:
        return f"{change['path']}: added, {json.dumps(change['new'], ensure_ascii=False)}"
    old = json.dumps(change["old"], ensure_ascii=False)
    if "new" not in change:
        return f"{change['path']}: removed, it was {old}"
    return f"{change['path']}: {old} → {json.dumps(change['new'], ensure_ascii=False)}"


def _told(record: Mapping[str, Any]) -> str:
    """Return the first changes of a version in words."""
    found = record["changes"]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(sentence_of(each) for each in found[:3]) + more or "only comments or layout"
