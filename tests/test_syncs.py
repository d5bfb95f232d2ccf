"""Syncs that are made together: each thing once, contents before names, nothing where nobody asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.syncs import Syncs


def test_a_replacement_is_seen_only_when_it_is_synced(tmp_path: Path) -> None:
    fs.replace(tmp_path / "a", b"old")
    syncs = Syncs()
    fs.replace(tmp_path / "a", b"new", durable=syncs)
    before = fs.read(tmp_path / "a")
    syncs.commit()

    assert (before, fs.read(tmp_path / "a")) == (b"old", b"new")


def test_what_is_forgotten_leaves_nothing_behind(tmp_path: Path) -> None:
    syncs = Syncs()
    fs.replace(tmp_path / "a", b"new", durable=syncs)
    syncs.forget()
    syncs.commit()

    assert fs.names(tmp_path) == []


def test_without_durability_everything_is_there_at_once(tmp_path: Path) -> None:
    syncs = Syncs(durable=False)
    fs.replace(tmp_path / "a", b"new", durable=syncs)

    assert fs.read(tmp_path / "a") == b"new"


def test_no_descriptor_stays_open_however_many_files_are_noted(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    before = len(os.listdir("/proc/self/fd"))
    syncs = Syncs()
    for n in range(300):
        fs.write_new(tmp_path / str(n), b"1", durable=syncs)
        assert len(os.listdir("/proc/self/fd")) < before + 210
    syncs.commit()

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_was_renamed_meanwhile_is_synced_all_the_same(tmp_path: Path) -> None:
    syncs = Syncs()
    fs.write_new(tmp_path / "a", b"1", durable=syncs)
    (tmp_path / "a").rename(tmp_path / "b")
    syncs.commit()

    assert fs.names(tmp_path) == ["b"]


def test_a_folder_that_has_gone_needs_no_sync(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    syncs = Syncs()
    syncs.folder(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    syncs.commit()


def test_a_replacement_that_cannot_be_put_in_place_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").touch()
    syncs = Syncs()
    fs.replace(tmp_path / "a", b"new", durable=syncs)

    with pytest.raises(StorageError, match="cannot replace"):
        syncs.commit()
    syncs.forget()

    assert fs.names(tmp_path) == ["a"]


CHILD = """
import json, os, sys
from pathlib import Path
from qtrl_spool import fs
from qtrl_spool.syncs import Syncs
done, real = [], os.fsync
os.fsync = lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))[1]
root = Path(sys.argv[1])
syncs = Syncs()
for name in "abc":
    fs.make_folder(root / "homes" / name, durable=syncs)
    fs.replace(root / "homes" / name / "status", b"1", durable=syncs)
    fs.append_line(root / "homes" / name / "events", "1", durable=syncs)
    fs.write_new(root / f".{name}", b"1", durable=syncs)
    fs.move(root / f".{name}", root / name, durable=syncs)
syncs.commit()
print(json.dumps([Path(each).name for each in done]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_each_file_and_folder_is_synced_once_and_contents_come_first(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=True
    )
    synced = json.loads(made.stdout)

    assert len(synced) == 9 + 5
    assert set(synced[9:]) == {tmp_path.name, "homes", "a", "b", "c"}
