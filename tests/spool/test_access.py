"""What lets somebody in who may not write to a drop box."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from qtrl_spool import host
from qtrl_spool.errors import StorageError
from qtrl_spool.spool.access import explain, opened_by, way_in
from tests.beds import tmpfs

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to give folders away"
)
LAB = 12004


def box(folder: Path, name: str, *, group: int, mode: int) -> Path:
    path = folder / name
    path.mkdir()
    os.chown(path, -1, group)
    path.chmod(mode)
    return path


def test_a_folder_that_cannot_be_listed_is_opened_by_its_owner_with_the_command_that_is_named(
    tmp_path: Path,
) -> None:
    shut = box(tmp_path, "50-normal", group=-1, mode=0)
    error = StorageError(f"cannot list {shut}")
    error.__cause__ = PermissionError(errno.EACCES, "Permission denied", str(shut))

    said = opened_by(error) or ""

    command = said.partition(" does ")[2]
    assert command == f"chmod u+rwx,go+rx {shut}" and owner(shut) in said and "root" in said
    subprocess.run(command.split(), check=True)
    assert stat.S_IMODE(shut.stat().st_mode) == 0o755


def test_what_the_permissions_do_not_refuse_is_not_opened_by_a_chmod() -> None:
    assert opened_by(StorageError("the disk is gone")) is None


@needs_root
def test_boxes_of_roots_own_group_are_given_a_common_one(tmp_path: Path) -> None:
    boxes = [box(tmp_path, name, group=0, mode=0o3775) for name in ("a", "b")]
    said = way_in(boxes, {LAB})
    assert "chgrp GROUP" in said and said.endswith(f"chmod g+ws to {boxes[0]} {boxes[1]}")


def owner(path: Path) -> str:
    return host.user_name(path.stat().st_uid)


@needs_root
def test_who_is_in_the_group_of_a_shut_box_is_told_to_open_it(tmp_path: Path) -> None:
    path = box(tmp_path, "a", group=LAB, mode=0o3755)
    assert way_in([path], {LAB}) == f"its owner or an admin lets the group in: chmod g+ws {path}"


@needs_root
def test_who_is_not_in_the_group_of_a_box_is_told_to_join_it(tmp_path: Path) -> None:
    path = box(tmp_path, "a", group=LAB, mode=0o3775)
    assert way_in([path], {1}).startswith(f"join the group that owns it, {LAB}")


def test_a_box_that_is_gone_is_made_anew_by_the_repair(tmp_path: Path) -> None:
    assert "--repair" in way_in([tmp_path / "gone"])


@needs_root
def test_a_drop_that_a_box_refuses_says_how_to_be_let_in(tmp_path: Path) -> None:
    path = box(tmp_path, "a", group=LAB, mode=0o3755)
    error = StorageError("cannot write", hint="see 'qtrl-spool doctor'")
    error.__cause__ = PermissionError()
    explain(error, path)
    assert error.hint is not None and error.hint.startswith(f"join the group that owns it, {LAB}")


def test_a_share_that_is_mounted_read_only_is_told_as_that(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "1m") as disk:
        path = box(disk, "a", group=LAB, mode=0o3775)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert way_in([path], {LAB}) == f"{disk} is mounted read-only: mount it read-write"
