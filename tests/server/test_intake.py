"""The intake of one server, step by step: whatever lies in the boxes, it harms nothing and keeps nobody."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qtrl_spool import Spool, fs, host
from qtrl_spool.bundle import Limits
from qtrl_spool.cli.words import whose
from qtrl_spool.server.box import Box
from qtrl_spool.server.intake import Intake
from qtrl_spool.spool import drops
from qtrl_spool.spool.boxes import look_into
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings

from .intakes import SEQUENCE, TEXT, drop, intake_of, queued

SERVER = 12001
JOB = "20261123-101530-rabi-k3f9x"
is_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


@pytest.fixture
def layout(spool: Spool) -> Layout:
    return Layout.of(spool.path)


@pytest.fixture
def foreign(template: Path) -> Iterator[Layout]:
    """Return a spool that belongs to a server who is not root, whom permissions stop."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root, other = Path(folder) / "spool", Path(folder) / "other"
        shutil.copytree(template, root)
        shutil.copytree(template, other)
        drop(Layout.of(other), "a.json")
        intake_of(Layout.of(other)).scan()  # imports what the server may not be allowed to read
        (root / "accepting" / "lab").mkdir()
        for path in (root, *root.rglob("*")):
            os.chown(path, SERVER, -1)
        yield Layout.of(root)


@contextmanager
def as_server() -> Iterator[None]:
    os.seteuid(SERVER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def intake(layout: Layout) -> Intake:
    return intake_of(layout)


def settled(intake: Intake, what: Callable[[], object], n: int = 50) -> None:
    for _ in range(n):
        intake.scan()
        if what():
            return
    raise AssertionError(f"not after {n} scans")


# ---------------------------------------------------------------- whose


def test_a_label_that_is_not_the_owners_name_stands_beside_it(layout: Layout, intake: Intake) -> None:
    me = host.user_name(os.getuid())
    for name, label in (("other", "ada of the old lab"), ("same", me)):
        drop(layout, f"{name}.json", json.dumps({**SEQUENCE, "job": {"user": label, "name": name}}))
    settled(intake, lambda: len(queued(layout)) == 2)
    records = [read_status(layout, each) or {} for each in queued(layout)]
    assert {each["name"]: each.get("owner") for each in records} == {"other": me, "same": None}
    assert {whose(each) for each in records} == {f"ada of the old lab ({me})", me}


# ---------------------------------------------------------------- boxes


def test_a_link_in_place_of_a_priority_is_never_followed(
    layout: Layout, intake: Intake, tmp_path: Path
) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "theirs.json").write_text(TEXT)
    (layout.queue / "60-mine").mkdir()
    (layout.incoming / "60-mine").symlink_to(tmp_path / "private")

    intake.scan()

    assert fs.names(tmp_path / "private") == ["theirs.json"]
    assert queued(layout) == []
    assert "this is a link" in next(layout.rejected.glob("*.txt")).read_text()


def test_a_priority_that_is_swapped_for_a_link_after_the_look_is_still_the_one_that_was_seen(
    layout: Layout, tmp_path: Path
) -> None:
    from contextlib import ExitStack

    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a.json").write_text("secret")
    drop(layout, "a.json", box="60-mine")
    with ExitStack() as stack:
        (found,) = look_into(layout.incoming, stack).found
        (layout.incoming / "60-mine").rename(tmp_path / "away")
        (layout.incoming / "60-mine").symlink_to(tmp_path / "private")
        with found.box.file(found.name) as file:
            assert file.read(1000) == TEXT.encode()
        assert fs.move(found.path, tmp_path / "taken", folder=found.box.descriptor)

    assert (tmp_path / "taken").read_text() == TEXT
    assert fs.names(tmp_path / "private") == ["a.json"]


@is_root
def test_a_box_that_the_server_may_not_look_into_is_said_to_be_so_and_keeps_nobody(foreign: Layout) -> None:
    drop(foreign, "theirs.json", box="60-mine").parent.chmod(0o700)
    drop(foreign, "good.json")
    with as_server():
        intake = intake_of(foreign)
        intake.scan()

    assert len(queued(foreign)) == 1
    assert [each["drop"] for each in intake.waiting()] == ["60-mine"]
    assert "may not look into it" in intake.waiting()[0]["reason"]


def test_very_many_priorities_do_not_keep_the_first_ones(layout: Layout, intake: Intake) -> None:
    for number in range(1000, 1300):
        (layout.incoming / str(number)).mkdir()
    drop(layout, "good.json")

    intake.scan()

    assert len(queued(layout)) == 1
    assert "more than 200 priorities" in intake.waiting()[0]["reason"]


def test_very_many_drops_are_taken_over_several_scans_in_the_order_of_their_arrival(
    layout: Layout, intake: Intake
) -> None:
    for n in range(300):
        drop(layout, f"{n:03}.json", json.dumps({**SEQUENCE, "name": f"n{n:03}"}))

    settled(intake, lambda: len(queued(layout)) == 300)

    assert [job_id.split("-")[2] for job_id in queued(layout)] == [f"n{n:03}" for n in range(300)]


def test_ten_thousand_drops_are_looked_through_a_second_at_a_time(layout: Layout, intake: Intake) -> None:
    import time

    for n in range(10_000):
        (layout.incoming / f"{n:05}.json").write_text(TEXT[:20])
    started = time.monotonic()

    intake.scan()

    n_looked_at = len(intake.waiting())
    assert time.monotonic() - started < 20
    assert n_looked_at == 10_000 or (n_looked_at > 0 and intake.recheck_after_s == 0.0)


def test_a_folder_with_very_many_files_is_refused_without_looking_at_them_all(
    layout: Layout, intake: Intake
) -> None:
    folder = layout.incoming / "many"
    folder.mkdir()
    for n in range(20_000):
        (folder / f"{n}.txt").touch()

    intake.scan()

    assert "more than 64 files" in next(layout.rejected.glob("*.txt")).read_text()


# ---------------------------------------------------------------- names and ids


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.json",
        "a\x1b]0;pwned\x07.json",
        "a\u202egnp.json",
        b"\xff\xfe.json",
        "x" * 250 + ".json",
        "é" * 120 + ".json",
        "CON.json",
        "a:b?.json",
    ],
)
@pytest.mark.parametrize("text", [TEXT, "[]"])
def test_no_name_stops_the_intake_or_reaches_a_terminal_as_it_is(
    layout: Layout, intake: Intake, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (layout.incoming / os.fsdecode(name)).write_text(text)
    with caplog.at_level("INFO"):
        intake.scan()

    assert fs.names(layout.incoming)[:-1] == fs.folders(layout.incoming)[:-1]
    shown = [
        *caplog.messages,
        *(line for path in layout.rejected.glob("*.txt") for line in path.read_text().splitlines()),
    ]
    shown += [str(path) for path in layout.rejected.iterdir()]
    shown += [each.name for home in layout.jobs.glob("*/*") for each in (home,)]
    assert shown and all(each.isprintable() for each in shown), shown
    assert len(queued(layout)) == (text == TEXT)


@pytest.mark.parametrize(
    "job_id",
    [
        f"20261123-101530-{'a' * 220}-k3f9x",
        "٢٠٢٦١١٢٣-101530-rabi-k3f9x",
        "20261323-101530-rabi-k3f9x",
    ],
)
def test_what_only_looks_like_an_id_gets_one_of_its_own(layout: Layout, intake: Intake, job_id: str) -> None:
    from qtrl_spool.bundle import from_text, pack

    (layout.incoming / f"{job_id}.qjob").write_bytes(pack(from_text(TEXT, "a.json")))

    intake.scan()

    assert len(queued(layout)) == 1
    assert queued(layout) != [job_id]


def test_who_chooses_in_the_midst_of_accepting_sees_all_that_arrived_together_or_nothing(
    layout: Layout,
) -> None:
    index = Index(layout)
    seen: list[list[int | None]] = []
    intake = intake_of(
        layout, index=index, meanwhile=lambda: seen.append([each.ticket.priority for each in index.queued])
    )
    intake.scan()
    for name, box in (("a.json", "70-low"), ("b.json", "50-normal"), ("c.json", "10-urgent")):
        drop(layout, name, box=box)
    intake.scan()

    assert [each for each in seen if each] and all(each in ([], [10, 50, 70]) for each in seen)


def test_one_id_in_two_boxes_at_once_is_one_job(layout: Layout, intake: Intake) -> None:
    from qtrl_spool.bundle import from_text, pack

    data = pack(from_text(TEXT, "a.json"))
    for box in ("10-urgent", "50-normal"):
        (layout.incoming / box / f"{JOB}.qjob").write_bytes(data)

    intake.scan()

    assert queued(layout) == [JOB]
    assert not list(layout.incoming.glob("*/*.qjob"))


def test_one_id_for_two_different_drops_at_once_makes_two_jobs(layout: Layout, intake: Intake) -> None:
    from qtrl_spool.bundle import from_text, pack

    for box, name in (("10-urgent", "one"), ("50-normal", "two")):
        data = pack(from_text(json.dumps({**SEQUENCE, "name": name}), "a.json"))
        (layout.incoming / box / f"{JOB}.qjob").write_bytes(data)

    intake.scan()

    assert len(queued(layout)) == 2
    assert len(set(queued(layout))) == 2


@pytest.mark.parametrize("when", [-(2**40), 2**33, 2**60])
def test_a_file_of_any_age_is_accepted(layout: Layout, intake: Intake, when: int) -> None:
    path = drop(layout, "a.json")
    try:
        os.utime(path, (when, when))
    except (OSError, OverflowError):
        pytest.skip("this file system keeps no such time")

    intake.scan()

    assert len(queued(layout)) == 1


# ---------------------------------------------------------------- kinds


def test_a_second_name_of_a_file_is_refused_when_it_has_settled(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_text(TEXT)
    os.link(tmp_path / "theirs.json", layout.incoming / "mine.json")

    intake_of(layout).scan()

    assert "hard link" in next(layout.rejected.glob("*.txt")).read_text()
    assert (tmp_path / "theirs.json").read_text() == TEXT


def test_a_second_name_of_a_file_in_a_folder_is_refused(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_text(TEXT)
    (layout.incoming / "mine").mkdir()
    os.link(tmp_path / "theirs.json", layout.incoming / "mine" / "sequence.json")

    intake_of(layout).scan()

    assert "hard link" in next(layout.rejected.glob("*.txt")).read_text()


def test_links_pipes_and_sockets_are_put_away_and_what_they_lead_to_is_not_touched(
    layout: Layout, intake: Intake, tmp_path: Path
) -> None:
    (tmp_path / "secret.json").write_text(TEXT)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "sequence.json").write_text(TEXT)
    (layout.incoming / "link.json").symlink_to(tmp_path / "secret.json")
    (layout.incoming / "folder").symlink_to(tmp_path / "folder")
    os.mkfifo(layout.incoming / "pipe.json")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(layout.incoming / "s.json"))

    intake.scan()

    said = [path.read_text() for path in layout.rejected.glob("*.txt")]
    assert len(said) == 4
    assert sum("copy the file itself" in each for each in said) == 2
    assert sum("put a regular file there" in each for each in said) == 2
    assert queued(layout) == []
    assert (tmp_path / "folder" / "sequence.json").exists()
    assert (tmp_path / "secret.json").read_text() == TEXT


@is_root
def test_a_folder_that_its_owner_shuts_after_it_was_taken_is_rejected_and_keeps_nobody(
    foreign: Layout,
) -> None:
    folder = foreign.accepting_by("lab") / f"50~{JOB}~theirs"
    folder.mkdir()
    os.chown(folder, SERVER + 1, SERVER + 1)
    folder.chmod(0o700)
    drop(foreign, "good.json")
    with as_server():
        intake = intake_of(foreign)
        intake.scan()
        intake.scan()

    assert len(queued(foreign)) == 1
    record = fs.read_json(foreign.status(JOB)) or {}
    assert record["state"] == "rejected"
    assert (foreign.root / record["rejected"]).is_dir()


def test_a_drop_that_makes_the_reading_code_fail_is_answered(tmp_path: Path) -> None:
    def looking(*_: object, **__: object) -> drops.Ignored:
        raise ZeroDivisionError("nobody thought of it")

    (tmp_path / "bad.json").touch()
    box = Box[drops.Whole](looking, Settings(), Limits(), lambda _: False)
    seen = box.look(tmp_path / "bad.json")

    assert isinstance(seen, drops.Bad)
    assert "ZeroDivisionError: nobody thought of it" in seen.error.message


def test_a_waiting_drop_whose_name_is_no_text_can_be_told_to_everybody(layout: Layout) -> None:
    from qtrl_spool.spool.find import waiting_drops

    (layout.incoming / os.fsdecode(b"\xff\x1b[31m.json")).write_text(TEXT[:20])
    intake = intake_of(layout)
    intake.scan()
    fs.replace_json(layout.snapshot, {"arriving": intake.waiting()})

    (told,) = intake.waiting()
    assert told["drop"].isprintable()
    assert [each["drop"] for each in waiting_drops(layout)] == [told["drop"]]


def test_a_copied_drop_whose_name_is_no_text_is_remembered(layout: Layout) -> None:
    from qtrl_spool.spool import copies

    path = layout.incoming / os.fsdecode(b"\xff.json")
    path.write_text(TEXT)
    copies.mark(layout, path, 0, "content", JOB)

    assert copies.copied(layout) == {path.name: JOB}
    copies.forget_removed(layout, copies.forget_removed(layout, set()))
    assert copies.mark(layout, path, 0, "content", "another") == JOB


def test_what_is_accepted_is_in_the_queue_at_once_though_a_crowded_one_is_listed_rarely(
    layout: Layout,
) -> None:
    now = [1000.0]
    index = Index(layout, lambda: now[0], lambda: now[0])
    intake = intake_of(layout, index=index)
    index.look()
    now[0] += 30.0
    drop(layout, "a.json")
    drop(layout, "b.json", json.dumps({**SEQUENCE, "job": {"hold": True}}))

    version = index.version
    intake.scan()
    known = [place.ticket.job_id for place in (*index.queued, *index.held)]

    assert len(known) == 2 and index.version > version
    assert not index.look() and known == [place.ticket.job_id for place in (*index.queued, *index.held)]
