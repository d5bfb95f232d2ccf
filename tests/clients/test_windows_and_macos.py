"""What Windows and macOS put into a shared folder: files beside ours, line ends, names, ways to copy."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.bundle import Limits, from_text, pack, unpack
from qtrl_spool.create import create_spool
from qtrl_spool.errors import BundleError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server.intake import Intake
from qtrl_spool.spool import tickets
from qtrl_spool.spool.drops import Bad, Ignored, Incomplete, Stillness, Whole, look
from qtrl_spool.spool.layout import Layout
from tests.server.intakes import intake_of

SEQUENCE = pi_no_pi(0).to_dict()
YAML = """\
format: qtrl-sequence/1
n_elements: 1
appends:
- {pulse: Q0/X180}
- {pulse: Readout/R0, start: ref1}
job: {n_reps: 2, notes: "first\\nsecond"}
"""
PATIENCE = {"limits": Limits(), "settle_s": 2.0, "abandoned_s": 600.0}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "spool"
    create_spool(root, who="the tests")
    mark = root / "spool.yaml"
    mark.write_text(mark.read_text().replace("settle_s: 2 ", "settle_s: 0.05 "))
    return root


@pytest.fixture
def layout(template: Path, tmp_path: Path) -> Layout:
    shutil.copytree(template, tmp_path / "spool")
    return Layout.of(tmp_path / "spool")


def settled(path: Path) -> Bad | Ignored | Incomplete | Whole:
    stillness = Stillness()
    look(path, stillness, now=0.0, **PATIENCE)
    return look(path, stillness, now=3.0, **PATIENCE)


def scanned_until(intake: Intake, layout: Layout, n: int) -> None:
    import time

    end = time.monotonic() + 30
    while len(tickets.queued(layout)) < n and time.monotonic() < end:
        intake.scan()
    assert len(tickets.queued(layout)) == n


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["rabi.yaml", "rabi.json", "RABI.JSON", "Rabi.Yml"])
def test_line_ends_and_byte_order_marks_change_nothing(
    tmp_path: Path, name: str, mark: bytes, end: str
) -> None:
    text = YAML if "y" in name.lower().rpartition(".")[2] else json.dumps(SEQUENCE, indent=1)
    (tmp_path / name).write_bytes(mark + text.replace("\n", end).encode())

    seen = settled(tmp_path / name)

    assert isinstance(seen, Whole)
    assert seen.bundle == from_text(text, name.lower())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["rabi.yaml", "rabi.json"])
def test_a_text_in_utf_16_is_told_as_that_as_soon_as_it_stands_still(
    tmp_path: Path, name: str, encoding: str
) -> None:
    text = YAML if name.endswith("yaml") else json.dumps(SEQUENCE)
    (tmp_path / name).write_bytes(text.encode(encoding))

    seen = settled(tmp_path / name)

    if encoding == "utf-32":
        assert isinstance(seen, Bad)
        return
    assert isinstance(seen, Bad)
    assert seen.error.message == "the text is UTF-16"
    assert "UTF-8" in (seen.error.hint or "")


def test_a_text_with_a_gap_that_a_copy_has_not_filled_is_not_taken_for_utf_16(tmp_path: Path) -> None:
    (tmp_path / "rabi.json").write_bytes(b'{"format": "' + bytes(400) + b'"}')

    assert isinstance(settled(tmp_path / "rabi.json"), Incomplete)


# ---------------------------------------------------------------- their own files

OF_WINDOWS = (
    "Thumbs.db", "desktop.ini", "~$rabi.json", "~WRD0001.tmp", "rabi.json:Zone.Identifier",
    "rabi.json:Zone.Identifier:$DATA", "$RECYCLE.BIN", "System Volume Information",
)  # fmt: skip
OF_MACOS = (
    ".DS_Store", "._rabi.json", ".apdisk", ".TemporaryItems", ".Trashes", ".Spotlight-V100", ".fseventsd",
    ".AppleDouble", ".localized", "Icon\r", "Network Trash Folder", "Temporary Items", "__MACOSX",
    "rabi.json:AFP_AfpInfo", "rabi.json:com.apple.quarantine", ".rabi.json.icloud", ".smbdeleteAAA1",
)  # fmt: skip


@pytest.mark.parametrize("name", [*OF_WINDOWS, *OF_MACOS])
def test_their_own_files_are_left_where_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0\x05\x16\x07\0")

    assert isinstance(settled(tmp_path / name), Ignored)


@pytest.mark.parametrize("theirs", [OF_WINDOWS, OF_MACOS])
def test_in_a_folder_they_are_overlooked(tmp_path: Path, theirs: tuple[str, ...]) -> None:
    (tmp_path / "rabi").mkdir()
    (tmp_path / "rabi" / "sequence.json").write_text(json.dumps(SEQUENCE))
    for name in theirs:
        if not name.endswith((".tmp", ".icloud")):
            (tmp_path / "rabi" / name).write_bytes(b"\0\x05")

    assert isinstance(settled(tmp_path / "rabi"), Whole)


def test_a_folder_with_a_file_that_word_is_still_writing_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "rabi").mkdir()
    (tmp_path / "rabi" / "sequence.json").write_text(json.dumps(SEQUENCE))
    (tmp_path / "rabi" / "~WRD0001.tmp").touch()

    assert isinstance(settled(tmp_path / "rabi"), Incomplete)


# ---------------------------------------------------------------- their archives


def compressed_by_finder() -> bytes:
    """Return what Finder's "Compress" makes of a folder: data descriptors, and a twin of each file."""
    file = io.BytesIO()

    class Streamed(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return file.write(data)  # type: ignore[arg-type]

    with zipfile.ZipFile(Streamed(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (
            ("my job/", b""),
            ("my job/sequence.json", json.dumps(SEQUENCE).encode()),
            ("__MACOSX/my job/._sequence.json", b"\0\x05\x16\x07"),
            ("my job/job.yaml", b"n_reps: 2\n"),
            ("my job/.DS_Store", b"\0\0\0\1Bud1"),
        ):
            archive.writestr(name, data)
    return file.getvalue()


def test_an_archive_made_by_finder_is_a_bundle() -> None:
    bundle = unpack(compressed_by_finder())

    assert bundle.manifest.n_reps == 2
    assert bundle.sequence["appends"]


def test_an_archive_with_backslashes_says_who_makes_such(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("x")
        entry.filename = "my job\\sequence.json"
        archive.writestr(entry, json.dumps(SEQUENCE))

    with pytest.raises(BundleError, match="backslash in its name, as older Windows programs write them"):
        unpack(file.getvalue())


# ---------------------------------------------------------------- their names

NAMES = (
    "CON.json", "aux.yaml", "LPT1.json", "nul.json", "COM¹.json", "My Experiment (2) - Copy.json",
    "Messung Nr. 5 für Müller.json", "e\u0301tude.json", "\u00e9tude.json", "実験.json", "a b  c.json",
    "no\u00a0break.json", "x" * 250 + ".json",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_of_their_names_becomes_a_job(layout: Layout, name: str) -> None:
    text = json.dumps(SEQUENCE) if name.endswith("json") else YAML
    (layout.incoming / "50-normal" / name).write_text(text)

    intake_of(layout).scan()

    (place,) = tickets.queued(layout)
    assert place.path.name.isascii()


def test_names_that_are_twins_for_a_mac_or_a_pc_become_two_jobs(layout: Layout) -> None:
    for name in ("e\u0301.json", "\u00e9.json", "Rabi.json", "rabi.json"):
        (layout.incoming / name).write_text(json.dumps({**SEQUENCE, "name": name}))

    intake_of(layout).scan()

    assert len(tickets.queued(layout)) == 4


def test_what_is_rejected_has_a_text_whose_name_every_system_can_open(layout: Layout) -> None:
    (layout.incoming / "Q: is it CON? *yes*.json").write_text("[]")

    intake_of(layout).scan()

    (text,) = layout.rejected.glob("*.txt")
    assert not set(text.name) & set('<>:"\\|?*')


# ---------------------------------------------------------------- their ways to copy


@pytest.mark.parametrize("name", ["rabi.qjob", "rabi.json", "rabi.yaml"])
def test_a_file_that_has_its_full_size_first_all_zeros_is_taken_once_and_whole(
    layout: Layout, name: str
) -> None:
    bundle = from_text(YAML, "a.yaml")
    data = pack(bundle) if name.endswith("qjob") else YAML.encode()
    data = json.dumps(SEQUENCE).encode() if name.endswith("json") else data
    intake = intake_of(layout, renamed=False)
    path = layout.incoming / "50-normal" / name

    with path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        for start in range(0, len(data), 100):
            intake.scan()
            assert tickets.queued(layout) == []
            os.pwrite(file.fileno(), data[start : start + 100], start)
    scanned_until(intake, layout, 1)

    assert list(layout.rejected.iterdir()) == []


def test_a_copy_that_was_broken_off_keeps_its_place_and_its_reason_until_it_is_done_again(
    layout: Layout,
) -> None:
    data = pack(from_text(YAML, "a.yaml"))
    path = layout.incoming / "rabi.qjob"
    path.write_bytes(data[:-30])
    intake = intake_of(layout, renamed=False)
    for _ in range(5):
        intake.scan()
    reasons = intake.waiting()

    path.write_bytes(data)
    scanned_until(intake, layout, 1)

    assert reasons == [{"drop": "rabi.qjob", "reason": "the ZIP has no central directory yet"}]


def test_a_file_under_a_temporary_name_is_taken_when_it_is_renamed(layout: Layout) -> None:
    for temporary in ("rabi.json.crdownload", "rabi.json.part", "rabi.json.filepart", ".rabi.json.a1B2c3"):
        (layout.incoming / temporary).write_text(json.dumps(SEQUENCE))
        intake = intake_of(layout, renamed=False)
        intake.scan()
        assert intake.waiting() == []
        (layout.incoming / temporary).rename(layout.incoming / "rabi.json")
        intake.scan()
        assert not fs.exists(layout.incoming / "rabi.json")

    assert len(tickets.queued(layout)) == 4


def test_a_client_on_another_system_needs_nothing_but_the_folder(layout: Layout) -> None:
    job = Spool(layout.root).submit(pi_no_pi(0), check=False)

    intake_of(layout).scan()

    assert [place.ticket.job_id for place in tickets.queued(layout)] == [job.id]
