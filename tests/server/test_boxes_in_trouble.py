"""Drop boxes on a storage that fails for some names: what cannot be looked at is told and keeps nobody."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.errors import StorageError
from qtrl_spool.server.intake import Intake
from qtrl_spool.spool import copies
from qtrl_spool.spool.find import arriving
from qtrl_spool.spool.layout import Layout

from .intakes import SEQUENCE, drop, intake_of, queued

JOB = "20261123-101530-rabi-k3f9x"
CODES = [errno.EIO, errno.ESTALE]


@pytest.fixture
def layout(spool: Spool) -> Layout:
    return Layout.of(spool.path)


@contextmanager
def broken(name: str, *calls: str, code: int = errno.EIO, but_first: int = 0) -> Iterator[None]:
    """Let some calls fail on whatever is called `name`, but for the first so many of them."""
    n_seen = 0

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(path: Any = ".", *more: Any, **kwargs: Any) -> Any:
            nonlocal n_seen
            if not isinstance(path, int) and Path(os.fsdecode(path)).name == name:
                n_seen += 1
                if n_seen > but_first:
                    raise OSError(code, os.strerror(code), str(path))
            return real(path, *more, **kwargs)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for call in calls:
            patch.setattr(os, call, around(getattr(os, call)))
        yield


def scanned(intake: Intake, n: int = 2) -> list[StorageError]:
    """Scan some times and return what the storage was said to refuse."""
    troubles = []
    for _ in range(n):
        try:
            intake.scan()
        except StorageError as trouble:
            troubles.append(trouble)
    return troubles


# ---------------------------------------------------------------- drops and boxes


@pytest.mark.parametrize("but_first", [0, 1])
@pytest.mark.parametrize("code", CODES)
def test_a_drop_that_cannot_be_looked_at_is_told_as_waiting_and_keeps_nobody(
    layout: Layout, code: int, but_first: int
) -> None:
    drop(layout, "bad.json")
    drop(layout, "good.json")
    intake = intake_of(layout)

    with broken("bad.json", "stat", code=code, but_first=but_first):
        troubles = scanned(intake)
        (waiting,) = intake.waiting()

    assert len(queued(layout)) == 1
    assert waiting["drop"] == "50-normal/bad.json" and "cannot look at" in waiting["reason"]
    assert troubles and all("bad.json" in each.message for each in troubles)


def test_a_drop_that_can_be_looked_at_again_is_taken(layout: Layout) -> None:
    drop(layout, "bad.json")
    intake = intake_of(layout)
    with broken("bad.json", "stat"):
        scanned(intake)

    intake.scan()

    assert len(queued(layout)) == 1 and intake.waiting() == []


@pytest.mark.parametrize("code", CODES)
def test_a_priority_that_cannot_be_looked_at_is_no_drop(layout: Layout, code: int) -> None:
    drop(layout, "theirs.json", box="60-mine")
    drop(layout, "good.json")
    intake = intake_of(layout)

    with broken("60-mine", "stat", code=code):
        troubles = scanned(intake)
        (waiting,) = intake.waiting()

    assert fs.names(layout.incoming / "60-mine") == ["theirs.json"] and len(queued(layout)) == 1
    assert waiting["drop"] == "60-mine" and len(troubles) == 2
    assert fs.names(layout.rejected) == []


@pytest.mark.parametrize("code", CODES)
def test_a_priority_that_cannot_be_opened_keeps_nobody(layout: Layout, code: int) -> None:
    drop(layout, "theirs.json", box="60-mine")
    drop(layout, "good.json")
    intake = intake_of(layout)

    with broken("60-mine", "open", code=code):
        troubles = scanned(intake)

    assert len(queued(layout)) == 1 and len(troubles) == 2
    intake.scan()
    assert len(queued(layout)) == 2


# ---------------------------------------------------------------- drops that were copied


def marked(layout: Layout) -> Path:
    """Return the mark of a drop that was copied."""
    path = drop(layout, "copied.json")
    copies.mark(layout, path, 0, "content", JOB)
    return next((layout.accepting / ".copied").iterdir())


def test_a_mark_that_cannot_be_read_keeps_nobody_and_is_told(layout: Layout) -> None:
    mark = marked(layout)
    drop(layout, "good.json", json.dumps({**SEQUENCE, "job": {"name": "good"}}))
    intake = intake_of(layout)

    with broken(mark.name, "open"):
        troubles = scanned(intake)

    assert any("-good-" in each for each in queued(layout))
    assert len(troubles) == 2 and mark.name in troubles[0].message


def test_a_mark_that_cannot_be_read_keeps_nobody_from_asking_what_arrives(layout: Layout) -> None:
    mark = marked(layout)

    with broken(mark.name, "open"):
        assert arriving(layout) == ["50-normal/copied.json"]


@pytest.mark.parametrize("text", ["{}", "[1]", '{"drop": 3', ""])
def test_a_mark_that_says_nothing_keeps_nobody(layout: Layout, text: str) -> None:
    marked(layout).write_text(text)

    assert scanned(intake_of(layout)) == []
    assert copies.copied(layout) == {}


def test_a_drop_that_is_not_seen_once_is_not_forgotten(layout: Layout) -> None:
    marked(layout)
    path, gone = layout.incoming / "50-normal" / "copied.json", set[str]()

    with broken("copied.json", "lstat", code=errno.ENOENT):
        gone = copies.forget_removed(layout, gone)
    copies.forget_removed(layout, gone)

    assert copies.mark(layout, path, 0, "content", "another") == JOB


@pytest.mark.parametrize(("away", "is_kept"), [("incoming", True), ("incoming/50-normal", False)])
def test_a_drop_is_forgotten_with_its_box_but_not_when_no_box_is_there(
    layout: Layout, away: str, is_kept: bool
) -> None:
    mark, gone = marked(layout), set[str]()
    (layout.root / away).rename(layout.root / "away")

    for _ in range(3):
        gone = copies.forget_removed(layout, gone)

    assert mark.exists() == is_kept


def test_a_drop_that_was_removed_is_forgotten_at_the_second_look(layout: Layout) -> None:
    mark = marked(layout)
    intake = intake_of(layout)
    (layout.incoming / "50-normal" / "copied.json").unlink()

    intake.scan()
    was_there, again_after = mark.exists(), intake.recheck_after_s
    intake.scan()

    assert was_there and again_after is not None and again_after < 1
    assert not mark.exists()


def test_the_fingerprint_of_a_folder_takes_so_few_names_that_a_crowded_one_is_cheap(tmp_path: Path) -> None:
    for n in range(2000):
        (tmp_path / f"{n}.txt").touch()
    n_seen, real = 0, os.scandir

    def counting(path: Any) -> Any:
        entries = real(path)

        class Counting:
            def __enter__(self) -> Iterator[os.DirEntry[str]]:
                return self._all()

            def __exit__(self, *_: object) -> None:
                entries.close()

            def _all(self) -> Iterator[os.DirEntry[str]]:
                nonlocal n_seen
                for entry in entries:
                    n_seen += 1
                    yield entry

        return Counting()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", counting)
        patch.delattr(os, "listdir")
        copies.fingerprint(tmp_path)

    assert 0 < n_seen <= 101


def test_the_fingerprint_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    before = copies.fingerprint(tmp_path)
    (tmp_path / "new.json").touch()

    assert copies.fingerprint(tmp_path) != before
    assert copies.fingerprint(tmp_path / "new.json") and copies.fingerprint(tmp_path / "nothing") == "[]"
