"""A drop box may hold anything: it is never followed, never waited for, always answered in a sentence."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from qtrl_spool.bundle import Limits
from qtrl_spool.errors import BundleError, NotFoundError, QtrlSpoolError
from qtrl_spool.spool.drops import (
    Bad,
    Ignored,
    Incomplete,
    Stillness,
    Whole,
    is_ignored,
    look,
    look_text,
    read_drop,
    take,
)

SEQUENCE = b'{"format": "qtrl-sequence/1", "n_elements": 1, "appends": []}'
PATIENCE = {"limits": Limits(), "settle_s": 2.0, "abandoned_s": 600.0}


def settled(path: Path, looking=look):
    """Look at `path` until it has stood still for long enough to be refused."""
    stillness = Stillness()
    looking(path, stillness, now=0.0, **PATIENCE)
    return looking(path, stillness, now=3.0, **PATIENCE)


@pytest.mark.parametrize(
    "name",
    [
        *(".rabi.qjob.a1B2c3", ".DS_Store", "._rabi.qjob", ".nfs0000001", ".fuse_hidden00", ".smbdelete12"),
        *(".~lock.rabi.yaml#", ".goutputstream-XYZ", ".rabi.yaml.swp", ".hidden.qjob"),
        *("rabi.qjob.part", "rabi.qjob.PARTIAL", "rabi.tmp", "rabi.yaml.filepart", "rabi.qjob.crdownload"),
        *(
            "rabi.yaml~",
            "~$rabi.yaml",
            "#rabi.yaml#",
            "Thumbs.db",
            "THUMBS.DB",
            "desktop.ini",
            "$RECYCLE.BIN",
        ),
        *("System Volume Information", "__MACOSX", "lost+found", "Icon\r"),
    ],
)
def test_temporary_and_system_files_are_left_where_they_are(tmp_path, name):
    (tmp_path / name).write_bytes(SEQUENCE)
    assert is_ignored(name)
    assert isinstance(look(tmp_path / name, Stillness(), now=0.0, **PATIENCE), Ignored)


@pytest.mark.parametrize(
    "name", ["rabi.qjob", "part.json", "tmp", "a.b.yaml", "thumbs.yaml", "partial", "ünï.qjob"]
)
def test_other_names_are_drops(name):
    assert not is_ignored(name)


def a_fifo(path):
    os.mkfifo(path)


def a_link(path):
    path.symlink_to("/etc/passwd")


def a_dangling_link(path):
    path.symlink_to("/nowhere")


def a_link_to_a_folder(path):
    path.symlink_to("/etc")


def a_socket(path):
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


def a_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device")


KINDS = [a_fifo, a_link, a_dangling_link, a_link_to_a_folder, a_socket, a_device]


@pytest.mark.parametrize("limit", ["max_request_bytes"])
def test_a_request_beyond_a_limit_is_refused(tmp_path, limit):
    path = tmp_path / "request.yaml"
    path.write_text("cancel: 20261126-101530-rabi-k3f9x  # " + "x" * 100 + "\n...\n")

    found = look_text(path, Stillness(), now=0.0, **{**PATIENCE, "limits": Limits(**{limit: 100})})

    assert isinstance(found, Bad)
    assert f"limits: {limit} in spool.yaml" in found.error.hint


@pytest.mark.parametrize("looking", [look, look_text])
@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", ["rabi.qjob", "rabi.yaml"])
def test_what_is_neither_file_nor_folder_is_refused_and_not_touched(tmp_path, make, name, looking):
    make(tmp_path / name)
    seen = settled(tmp_path / name, looking)
    assert isinstance(seen, Bad)
    assert "only files and folders may be dropped" in seen.error.message
    assert seen.error.hint


@pytest.mark.parametrize("make", KINDS)
def test_a_folder_that_holds_such_a_thing_is_refused(tmp_path, make):
    folder = tmp_path / "rabi"
    folder.mkdir()
    (folder / "sequence.json").write_bytes(SEQUENCE)
    make(folder / "config.yaml")
    seen = settled(folder)
    assert isinstance(seen, Bad)
    assert "'config.yaml'" in seen.error.message


@pytest.mark.parametrize("looking", [look, look_text])
def test_an_enormous_sparse_file_is_refused_at_once(tmp_path, looking):
    path = tmp_path / "rabi.yaml"
    path.touch()
    os.truncate(path, 1 << 40)
    seen = looking(path, Stillness(), now=0.0, **PATIENCE)
    assert isinstance(seen, Bad)
    assert "1099511627776 bytes" in seen.error.message


FOLDERS = {
    "a folder in it": ({"sequence.json": SEQUENCE, "inner/sequence.json": SEQUENCE}, "'inner', a folder"),
    "an unknown file": ({"sequence.json": SEQUENCE, "squence.json": b""}, "no member 'squence.json'"),
    "two spellings": ({"sequence.json": SEQUENCE, "sequence.yaml": b""}, "two spellings"),
    "case twins": ({"sequence.json": SEQUENCE, "Sequence.json": SEQUENCE}, "two spellings"),
    "too many files": ({f"{n}": b"" for n in range(70)}, "more than 64 files"),
    "jobs": ({"a.qjob": b"", "b.qjob": b""}, "no member 'a.qjob'"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_is_no_bundle_is_refused(tmp_path, case):
    files, rule = FOLDERS[case]
    for name, data in files.items():
        (tmp_path / "rabi" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "rabi" / name).write_bytes(data)
    seen = settled(tmp_path / "rabi")
    assert isinstance(seen, Bad)
    assert rule in seen.error.message
    assert seen.error.hint


@pytest.mark.parametrize("files", [[], ["rabi.json"]])
def test_a_folder_without_a_sequence_may_be_meant_as_a_priority(tmp_path, files):
    (tmp_path / "bogus").mkdir()
    for name in files:
        (tmp_path / "bogus" / name).write_bytes(SEQUENCE)
    with pytest.raises(BundleError, match="a priority's directory is called <number>-bogus"):
        take(tmp_path / "bogus")


def test_a_folder_of_too_many_bytes_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "rabi").mkdir()
    (tmp_path / "rabi" / "sequence.json").write_bytes(SEQUENCE)
    (tmp_path / "rabi" / "config.yaml").touch()
    os.truncate(tmp_path / "rabi" / "config.yaml", 1 << 40)
    assert "bytes, more than" in settled(tmp_path / "rabi").error.message


def test_system_junk_in_a_folder_is_overlooked(tmp_path):
    (tmp_path / "rabi").mkdir()
    for name in (".DS_Store", "._sequence.json", "Thumbs.db", "desktop.ini", "sequence.json~"):
        (tmp_path / "rabi" / name).write_bytes(b"\0\1\2")
    (tmp_path / "rabi" / "sequence.json").write_bytes(SEQUENCE)
    assert isinstance(settled(tmp_path / "rabi"), Whole)


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.json",
        "a\u202eb.json",
        b"\xff\xfe.json",
        "CON.json",
        "x" * 250 + ".json",
        "$(reboot).json",
        "a\x1b[31m.json",
    ],
)
def test_hostile_names_are_read_and_shown_harmlessly(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(SEQUENCE)
    assert isinstance(look(path, Stillness(), now=0.0, **PATIENCE), Whole)
    path.write_bytes(b"[]")
    error = settled(path).error
    assert str(error).isprintable()
    assert len(error.where) < 200


@contextlib.contextmanager
def as_nobody():
    """Be a user whom permissions stop: root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def private():
    """Return the path of a drop that only its owner may read, in a box that others may read."""
    with tempfile.TemporaryDirectory() as box:
        Path(box).chmod(0o755)
        path = Path(box) / "rabi.json"
        path.write_bytes(SEQUENCE)
        path.chmod(0o600 if os.geteuid() == 0 else 0)
        yield path


def test_a_file_that_may_not_be_read_is_waited_for_with_the_remedy_and_refused_when_it_is_abandoned(private):
    stillness = Stillness()
    with as_nobody():
        look(private, stillness, now=0.0, **PATIENCE)
        later = look(private, stillness, now=599.0, **PATIENCE)
        seen = look(private, stillness, now=600.0, **PATIENCE)
    assert isinstance(later, Incomplete)
    assert "chmod" in later.reason
    assert isinstance(seen, Bad)
    assert "may not read it" in seen.error.message
    assert "chmod" in seen.error.hint


def test_what_a_user_may_not_read_himself_has_a_remedy_for_him(private):
    with (
        as_nobody(),
        pytest.raises(BundleError, match=r"you may not read it \(make it readable \(chmod -R u"),
    ):
        read_drop(private)


def test_a_file_that_becomes_readable_in_time_is_taken(private):
    stillness = Stillness()
    with as_nobody():
        look(private, stillness, now=0.0, **PATIENCE)
    private.chmod(0o644)
    with as_nobody():
        assert isinstance(look(private, stillness, now=1.0, **PATIENCE), Whole)


def test_a_link_put_in_place_of_a_file_after_the_look_is_not_followed(tmp_path):
    from qtrl_spool.spool.untrusted import opened

    (tmp_path / "secret").write_bytes(SEQUENCE)
    (tmp_path / "rabi.json").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError), opened(tmp_path / "rabi.json"):
        pass


def test_a_file_that_grows_while_it_is_read_is_not_taken(tmp_path):
    from qtrl_spool.spool.untrusted import ChangedError, opened

    path = tmp_path / "rabi.yaml"
    path.write_bytes(b"format: qtrl-sequence/1\n")
    with opened(path) as file:
        with path.open("ab") as writer:
            writer.write(b"n_elements: 1\n")
        with pytest.raises(ChangedError):
            file.read(1000)


def test_a_folder_whose_file_was_replaced_since_it_was_seen_is_not_taken(tmp_path):
    from qtrl_spool.spool.untrusted import ChangedError, opened_folder
    from qtrl_spool.spool.whole import read_folder

    (tmp_path / "sequence.json").write_bytes(SEQUENCE)
    with opened_folder(tmp_path) as folder:
        entries = folder.entries(10)
        (tmp_path / "sequence.json").write_bytes(SEQUENCE + b"\n")
        with pytest.raises(ChangedError):
            read_folder(folder, entries, Limits(), "rabi")


def test_opening_a_fifo_does_not_block():
    code = (
        "import os, sys, tempfile, pathlib; from qtrl_spool.spool.untrusted import opened\n"
        "path = pathlib.Path(tempfile.mkdtemp()) / 'f'; os.mkfifo(path)\n"
        "try:\n    opened(path).__enter__()\nexcept OSError: sys.exit(0)\nsys.exit(1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_no_descriptor_stays_open(tmp_path):
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    (tmp_path / "rabi.json").write_bytes(SEQUENCE)
    (tmp_path / "bad.json").write_bytes(b"[")
    (tmp_path / "rabi").mkdir()
    os.mkfifo(tmp_path / "fifo.json")
    before = len(os.listdir("/proc/self/fd"))
    for path in tmp_path.iterdir():
        settled(path)
        with contextlib.suppress(QtrlSpoolError):
            take(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_drop_of_ones_own_is_read_without_waiting_and_through_a_link(tmp_path):
    (tmp_path / "rabi.yaml").write_bytes(b"format: qtrl-sequence/1\nn_elements: 1\n")
    (tmp_path / "link.yaml").symlink_to("rabi.yaml")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "sequence.json").write_bytes(SEQUENCE)
    assert read_drop(str(tmp_path / "link.yaml")).sequence["n_elements"] == 1
    assert read_drop(tmp_path / "folder").sequence["appends"] == []


def test_a_drop_that_was_renamed_is_read_under_its_first_name(tmp_path):
    (tmp_path / "50~id~taken").write_bytes(SEQUENCE)
    assert take(tmp_path / "50~id~taken", name="rabi.json").kind == "json"


def test_reading_what_is_not_there_or_is_no_drop_says_so(tmp_path):
    with pytest.raises(NotFoundError, match="nothing at"):
        read_drop(tmp_path / "nothing.yaml")
    with pytest.raises(BundleError, match=r"no sequence\.json"):
        read_drop(tmp_path)
    (tmp_path / "rabi.txt").touch()
    with pytest.raises(BundleError, match="nothing that may be dropped"):
        read_drop(tmp_path / "rabi.txt")
