"""The versions of a configuration on disk: what was kept, when it counts, how it is told.

::

    versions/<n>/        the files that version n changed, and version.json: who, when, why, what, and
                         which file of which version makes up the whole. Never changed again.
    log.jsonl            one line for each version and for each refused edit

A version *counts* from the moment its ``version.json`` is there; that is one atomic rename. A folder
without it is what a death left behind; the next version of that number writes over it. The log can
be made again from the versions.

A share may show a version late. One that ``current/.version`` or a later version names is there, whether it
is seen or not; what is not seen is never written over.

Called by: ``store`` only.
Fails: `NotFoundError` for a version that never was, `StorageError` for one that is not seen at present, or if
a kept file is not as it was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.config.configuration import Configuration
from qtrl_spool.config.load import read_document
from qtrl_spool.config.merge import changes
from qtrl_spool.config.tree import Delete, Tree, join_path, plain
from qtrl_spool.errors import NotFoundError, StorageError

FORMAT = "qtrl-config-version/1"
SHOWS = ".version"
_RECORD = "version.json"
_SHOWN_CHANGES = 3


class Versions:
    """All versions that ever counted.

    Parameters
    ----------
    folder:
        ``config/`` of the spool.
    durable:
        Whether what is acknowledged survives a power cut.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self._newest = 0

    def newest(self) -> int:
        """Return the number of the newest version that counts; 0 if there is none."""
        if self._newest == 0:
            numbers = [int(name) for name in fs.names(self.folder / "versions") if name.isdecimal()]
            self._newest = max((n for n in numbers if fs.exists(self._file(n))), default=0)
        while self._newest and fs.exists(self._file(self._newest + 1)):
            self._newest += 1
        return self._newest

    def shown(self) -> int:
        """Return the version that ``current/`` shows; 0 if that is not told."""
        text = (fs.read(self.folder / "current" / SHOWS) or b"").strip()
        return int(text) if text.isdigit() else 0

    def record(self, n: int, *, was_there: bool = False) -> dict[str, Any]:
        """Return who made version `n`, when, why, what changed and where its files are kept.

        `was_there` says that it was seen before, by whomever.
        """
        record = fs.read_json(self._file(n))
        if record is None:
            if was_there or 0 < n <= self._last_named():
                raise not_seen(n)
            raise NotFoundError(f"there is no version {n} of the configuration", hint="see 'config log'")
        return record

    def _last_named(self) -> int:
        """Return the last version that is surely there: a folder is made when the version before counts."""
        names = fs.names(self.folder / "versions")
        begun = max((int(name) for name in names if name.isdecimal()), default=1)
        return max(self._newest, self.shown(), begun - 1)

    def texts(self, n: int, *, was_there: bool = False) -> dict[str, str]:
        """Return the YAML files of version `n`, by file name; see `record`."""
        files = self.record(n, was_there=was_there)["files"]
        return {name: self._text(name, entry) for name, entry in files.items()}

    def add(
        self,
        texts: Mapping[str, str],
        new: Configuration,
        about: Mapping[str, Any],
        *,
        base: int,
        like: int = 0,
    ) -> dict[str, Any]:
        """Keep version ``base + 1``: when this returns, it counts.

        Parameters
        ----------
        texts:
            Its files.
        new:
            What they hold.
        about:
            Who, when, why and what changed.
        base:
            The version before; 0 if this is the first.
        like:
            An older version whose files may be the same.

        Returns
        -------
        dict
            Its record.
        """
        n = base + 1
        folder = self._file(n).parent
        fs.make_folder(folder, durable=self.durable)
        if _RECORD in (left := fs.names(folder)):
            raise not_seen(n)
        for name in left:
            fs.remove(folder / name)
        known = [self.record(each)["files"] for each in (like, base) if each]
        files = {name: self._keep(n, name, text, known) for name, text in texts.items()}
        record = {"format": FORMAT, "version": n, **about, "base": base, "sha256": new.sha256, "files": files}
        fs.replace_json(self._file(n), record, durable=self.durable)
        return record

    def log(self) -> list[dict[str, Any]]:
        """Return one entry for each version and each refused edit, oldest first."""
        entries = self._logged()
        last = max((entry["version"] or 0 for entry in entries), default=0)
        return entries + [_entry_of(self.record(n)) for n in range(last + 1, self.newest() + 1)]

    def tell(self, record: Mapping[str, Any]) -> None:
        """Write a version into the log, unless it is there."""
        if all(entry["version"] != record["version"] for entry in self._logged()):
            self.append(_entry_of(record))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append one entry to the log."""
        fs.append_line(self._log, json.dumps(entry, ensure_ascii=False), durable=self.durable)

    @property
    def _log(self) -> Path:
        return self.folder / "log.jsonl"

    def _logged(self) -> list[dict[str, Any]]:
        lines = (fs.read(self._log) or b"").splitlines()
        return [entry for line in lines if (entry := _parsed(line)) is not None]

    def _file(self, n: int) -> Path:
        return self.folder / "versions" / str(n) / _RECORD

    def _text(self, name: str, entry: Mapping[str, Any]) -> str:
        path = self._file(entry["version"]).with_name(name)
        text = read_document(path)
        if text is None or digest(text) != entry["sha256"]:
            raise StorageError(f"{path} is not as it was kept", hint="restore config/versions from a backup")
        return text

    def _keep(self, n: int, name: str, text: str, known: list[dict[str, Any]]) -> dict[str, Any]:
        """Return where the text of a file is kept, after keeping it if no older version has it."""
        wanted = digest(text)
        for files in known:
            if files.get(name, {}).get("sha256") == wanted:
                return dict(files[name])
        fs.replace(self._file(n).with_name(name), text.encode(), durable=self.durable)
        return {"version": n, "sha256": wanted}


def not_seen(n: int) -> StorageError:
    """Return what is wrong while a share does not show a version that is there."""
    error = StorageError(
        f"version {n} of the configuration is not to be seen at present",
        hint="a share may show it a little later; if it never comes, restore config/versions from a backup",
    )
    error.__cause__ = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return error


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return what one line of the log says; None for a line torn by a death, perhaps inside a letter."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "version" in entry else None


def _entry_of(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("format", "files")}


def changes_between(old: Configuration, new: Configuration) -> Iterator[dict[str, Any]]:
    """Yield what differs as written, as the log keeps it: a side that is not there is left out."""
    for path, before, after in changes(Tree(old.documents), Tree(new.documents)):
        sides = (("old", before), ("new", after))
        yield {
            "path": join_path(path),
            **{name: plain(side) for name, side in sides if not isinstance(side, Delete)},
        }


def sentence_of(change: Mapping[str, Any]) -> str:
    """Return one change as a line: ``variables/Q6/freq: 5413756739.0 → 5410000000.0``."""
    if "old" not in change:
        return f"{change['path']}: added, {json.dumps(change['new'], ensure_ascii=False)}"
    old = json.dumps(change["old"], ensure_ascii=False)
    if "new" not in change:
        return f"{change['path']}: removed, it was {old}"
    return f"{change['path']}: {old} → {json.dumps(change['new'], ensure_ascii=False)}"


def told(record: Mapping[str, Any]) -> str:
    """Return who made a version, why, and its first changes in words."""
    found = record["changes"]
    first = ", ".join(sentence_of(each) for each in found[:_SHOWN_CHANGES]) or "only comments or layout"
    more = f" and {len(found) - _SHOWN_CHANGES} more" if len(found) > _SHOWN_CHANGES else ""
    return f"version {record['version']} by {record['who']} ({record['why']}): {first}{more}"
