"""The only module that touches the disk, on a real one."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from qtrl_spool import fs
from qtrl_spool.errors import StorageError


def test_a_reader_never_meets_half_a_replaced_file(tmp_path: Path) -> None:
    path, versions = tmp_path / "status.json", [b"a" * 100_000, b"b" * 50_000]
    fs.replace(path, versions[0], durable=False)
    writer = threading.Thread(
        target=lambda: [fs.replace(path, versions[n % 2], durable=False) for n in range(300)]
    )

    writer.start()
    seen = {fs.read(path) for _ in iter(writer.is_alive, False)}
    writer.join()

    assert seen <= set(versions)


def test_replacing_leaves_no_temporary_file(tmp_path: Path) -> None:
    fs.replace(tmp_path / "a", b"1")

    assert fs.names(tmp_path) == ["a"]


def test_a_replacement_that_fails_leaves_the_old_file_and_says_what_failed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()

    with pytest.raises(StorageError, match=r"cannot replace .*folder"):
        fs.replace(tmp_path / "folder", b"1")

    assert fs.names(tmp_path) == ["folder"]


def test_a_move_says_that_it_is_ours(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")

    assert fs.move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"1"


def test_a_move_of_what_somebody_else_took_first_is_no_error(tmp_path: Path) -> None:
    assert not fs.move(tmp_path / "gone", tmp_path / "b")


def test_a_move_on_a_share_that_is_not_there_does_not_say_that_the_source_has_gone(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"move .*share/queue/a to .*share/running/b"):
        fs.move(tmp_path / "share" / "queue" / "a", tmp_path / "share" / "running" / "b")


@pytest.mark.skipif(os.name == "nt", reason="needs descriptors of folders")
def test_a_move_out_of_an_open_folder_of_what_somebody_else_took_first_is_no_error(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)

    assert not fs.move(tmp_path / "gone", tmp_path / "b", folder=folder)
    os.close(folder)


@pytest.mark.skipif(os.name == "nt", reason="needs descriptors of folders")
def test_a_move_out_of_an_open_folder_that_cannot_be_looked_into_does_not_say_that_the_source_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, folder = os.stat, os.open(tmp_path, os.O_RDONLY)

    def stale(path: object, *more: object, **how: object) -> object:
        if how.get("dir_fd") == folder:
            raise OSError(errno.ESTALE, "stale file handle", str(path))
        return real(path, *more, **how)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "stat", stale)

    with pytest.raises(StorageError, match=r"move .*gone to .*b"):
        fs.move(tmp_path / "gone", tmp_path / "b", folder=folder)
    os.close(folder)


def test_a_move_whose_reply_was_lost_counts_because_its_target_is_there(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"moved already")

    assert fs.move(tmp_path / "a", tmp_path / "b")


def test_a_move_to_where_it_cannot_go_names_both_ends(tmp_path: Path) -> None:
    (tmp_path / "a").touch()

    with pytest.raises(StorageError, match=r"move .*a to .*missing"):
        fs.move(tmp_path / "a", tmp_path / "missing" / "b")


def test_of_many_movers_to_names_of_their_own_one_wins(tmp_path: Path) -> None:
    for n in range(50):
        source = tmp_path / f"ticket{n}"
        source.touch()
        won: list[int] = []
        threads = [
            threading.Thread(
                target=lambda k, source=source, won=won: (
                    won.append(k) if fs.move(source, source.with_suffix(f".{k}"), durable=False) else None
                ),
                args=(k,),
            )
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


def test_a_line_torn_by_a_death_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = tmp_path / "events"
    log.write_bytes(b'{"event": "a"}\n{"event": "b')

    fs.append_line(log, '{"event": "c"}')

    assert log.read_bytes().splitlines() == [b'{"event": "a"}', b'{"event": "b', b'{"event": "c"}']


def failing_sync(descriptor: int) -> None:
    raise OSError(errno.EIO, "input/output error")


def test_a_line_that_cannot_be_synced_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "events"
    fs.append_line(log, "a")
    monkeypatch.setattr(os, "fsync", failing_sync)

    with pytest.raises(StorageError, match="input/output error"):
        fs.append_line(log, "b")
    assert log.read_bytes() == b"a\n"


def test_a_line_that_cannot_be_synced_stays_where_another_one_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "events"

    def appending(descriptor: int) -> None:
        fs.append_line(log, "b", durable=False)
        failing_sync(descriptor)

    monkeypatch.setattr(os, "fsync", appending)

    with pytest.raises(StorageError, match="input/output error"):
        fs.append_line(log, "a")
    assert log.read_bytes() == b"a\nb\n"


def test_reading_what_is_not_there_gives_none(tmp_path: Path) -> None:
    assert fs.read(tmp_path / "nothing") is None
    assert fs.read(tmp_path / "nothing" / "below") is None
    assert fs.names(tmp_path / "nothing") == []
    assert fs.folders(tmp_path / "nothing") == []
    assert fs.facts(tmp_path / "nothing") is None


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX links and FIFOs")
def test_neither_a_link_nor_a_fifo_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "fifo")

    assert fs.read(tmp_path / "link") is None
    assert fs.read(tmp_path / "fifo") is None


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX links")
def test_removing_a_link_to_a_folder_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")

    fs.remove(tmp_path / "link")

    assert fs.names(tmp_path) == ["folder"]
    assert fs.names(tmp_path / "folder") == ["inside"]


def test_a_file_larger_than_its_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 11)

    with pytest.raises(StorageError, match="larger than 10 bytes"):
        fs.read(tmp_path / "large", limit=10)


def test_half_a_json_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "half").write_bytes(b'{"a": 1')

    assert fs.read_json(tmp_path / "half") is None


def test_folders_are_made_with_all_above_them(tmp_path: Path) -> None:
    fs.make_folder(tmp_path / "a" / "b" / "c")
    fs.make_folder(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_file_that_is_written_bit_by_bit_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.h5"
    path.write_bytes(b"old")

    def write(file: BinaryIO) -> None:
        file.seek(3)
        file.write(b"new")
        assert path.read_bytes() == b"old"

    fs.replace_by(path, write)
    assert path.read_bytes() == b"\0\0\0new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_written_to_its_end_leaves_the_old_one(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "result.h5"
    path.write_bytes(b"old")

    def write(file: BinaryIO) -> None:
        file.write(b"new")
        raise error

    with pytest.raises((StorageError, KeyboardInterrupt)):
        fs.replace_by(path, write)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("result.h5", b"old")]


def test_a_share_that_fails_does_not_say_that_a_file_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: object) -> None:
        raise OSError(errno.EIO, "input/output error", str(path))

    monkeypatch.setattr(os, "lstat", failing)

    with pytest.raises(StorageError, match="input/output error"):
        fs.exists(tmp_path / "file")


def test_a_replacement_whose_reply_was_lost_has_been_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace

    def losing(source: Path, target: Path) -> None:
        real(source, target)
        raise FileNotFoundError(errno.ENOENT, "no such file or directory", str(source))

    monkeypatch.setattr(os, "replace", losing)

    fs.replace(tmp_path / "status.json", b"new")
    assert (tmp_path / "status.json").read_bytes() == b"new"
