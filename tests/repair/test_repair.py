"""A damaged spool is put right: nothing is lost, and it is done once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import OperatorError
from qtrl_spool.repair import FAILED, LEFT, MENDED, Mending, repair
from qtrl_spool.spool import tickets
from qtrl_spool.spool.doctor import examine
from qtrl_spool.spool.edits import Edits
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import read_settings
from tests.faults import forked, promise

from . import damage
from .damage import DAMAGES, ENDS, ENDS_EXCEPT, EXCEPT, EXPECTED

_OF_THE_MACHINE = {"durability", "space", "servers"}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a spool with jobs in every state, to be copied."""
    return damage.make_template(tmp_path_factory.mktemp("whole") / "spool")


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """Return a fresh copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "spool", symlinks=True))


def mend(root: Path) -> list[Mending]:
    """Repair a spool without waiting between the looks: nobody else is there."""
    layout = Layout.of(root)
    return list(repair(layout, read_settings(layout.mark), wait=lambda _: None))


def let_others_in(tmp_path: Path) -> None:
    """Open the folders of the tests, which are root's alone, to other users."""
    for folder in (tmp_path, *tmp_path.parents):
        if (
            not folder.stat().st_mode & 0o005
            and folder.stat().st_uid == os.getuid()
            and "pytest" in str(folder)
        ):
            folder.chmod(folder.stat().st_mode | 0o055)


def state(root: Path, name: str) -> str:
    return str(json.loads((damage.home(root, name) / "status.json").read_text())["state"])


def wrong(root: Path) -> list[str]:
    """Return what the doctor finds wrong with the jobs of a spool."""
    found = examine(Layout.of(root), now=datetime.now(UTC))
    return [each.said for each in found if each.verdict == "wrong" and each.what not in _OF_THE_MACHINE]


def test_there_is_nothing_to_repair_in_a_whole_spool(root: Path) -> None:
    before = damage.contents(root)
    assert mend(root) == []
    assert damage.contents(root) == before


@dataclass(frozen=True)
class Repaired:
    """What became of one damage."""

    told: list[Mending]
    states: dict[str, str]
    twice: tuple[str, ...]
    wrong: list[str]
    lost: list[str]
    again: list[Mending]
    ends: dict[str, str]
    stuck: list[str]


@pytest.fixture(scope="session")
def repaired(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Repaired]:
    """Return a function that damages, repairs, repairs again and serves a spool, once for each damage."""

    @cache
    def repaired(name: str) -> Repaired:
        root = tmp_path_factory.mktemp(name) / "spool"
        shutil.copytree(whole, root, symlinks=True)
        DAMAGES[name](root)
        before, events = damage.contents(root), damage.events(root)
        told = mend(root)
        after = damage.contents(root)
        lost = damage.lost(before, after) + [str(line) for line in events - damage.events(root)]
        states = {each: state(root, each) for each in EXPECTED}
        twice, said = promise.look(root, ()).twice, wrong(root)
        again = [each for each in mend(root) if each.verdict != LEFT]
        for server in ("gone", damage.ELSEWHERE):
            assert forked.drained(root, root.parent / f"{server}.log", name=server) is None
        ends = {each: state(root, each) for each in EXPECTED}
        held = {damage.job(root, each): "held" for each, end in ends.items() if end == "held"}
        stuck = list(promise.judge(root, held).stuck)
        shutil.rmtree(root)
        return Repaired(told, states, twice, said, lost, again, ends, stuck)

    return repaired


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_found_and_told(repaired: Callable[[str], Repaired], name: str) -> None:
    assert repaired(name).told


@pytest.mark.parametrize("name", DAMAGES)
def test_every_job_is_what_it_was_before_the_damage(repaired: Callable[[str], Repaired], name: str) -> None:
    assert repaired(name).states == {**EXPECTED, **EXCEPT.get(name, {})}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_job_has_one_ticket_and_no_record_contradicts_it(
    repaired: Callable[[str], Repaired], name: str
) -> None:
    assert repaired(name).twice == ()
    assert [said for said in repaired(name).wrong if "gone" not in said] == []


@pytest.mark.parametrize("name", DAMAGES)
def test_nothing_is_deleted(repaired: Callable[[str], Repaired], name: str) -> None:
    assert repaired(name).lost == []


@pytest.mark.parametrize("name", DAMAGES)
def test_repaired_again_there_is_nothing_to_mend(repaired: Callable[[str], Repaired], name: str) -> None:
    assert repaired(name).again == []


@pytest.mark.parametrize("name", DAMAGES)
def test_a_server_brings_every_job_of_a_repaired_spool_to_its_end(
    repaired: Callable[[str], Repaired], name: str
) -> None:
    assert repaired(name).ends == {**ENDS, **ENDS_EXCEPT.get(name, {})}
    assert repaired(name).stuck == []


# ---------------------------------------------------------------- what is said and done


def test_a_ticket_is_made_anew_from_the_copy_that_a_dying_server_left(root: Path) -> None:
    before = damage.ticket(root, "first").read_bytes()
    damage.lose_waiting_ticket_with_a_copy(root)
    (told,) = mend(root)
    assert told.verdict == MENDED and "made anew from accepting/gone/" in told.said
    assert damage.ticket(root, "first").read_bytes() == before


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_a_ticket_made_anew_from_a_result_runs_in_the_order_of_acceptance(root: Path, name: str) -> None:
    order = [each["name"] for each in Spool(root).queue()["queued"]]
    damage.ticket(root, name).unlink()
    shutil.copy(damage.home(root, "done") / "result.h5", damage.home(root, name) / "partial.h5")
    mend(root)
    assert [each["name"] for each in Spool(root).queue()["queued"]] == order


def test_a_ticket_made_anew_from_its_copy_has_its_old_name(root: Path) -> None:
    before = damage.ticket(root, "first")
    damage.lose_waiting_ticket_with_a_copy(root)
    mend(root)
    assert damage.ticket(root, "first") == before


def test_a_job_of_which_no_copy_is_left_has_failed_and_says_why(root: Path) -> None:
    damage.lose_waiting_ticket(root)
    (told,) = mend(root)
    record = Spool(root).job(damage.job(root, "second")).status()
    assert told.verdict == FAILED and told.hint == "submit it again"
    assert "no copy of it is left" in record["error"]["message"]


def test_a_done_job_that_lost_its_result_stays_done_and_says_so(root: Path) -> None:
    damage.lose_result(root)
    (told,) = mend(root)
    record = Spool(root).job(damage.job(root, "also-done")).status()
    assert told.verdict == FAILED and "--like" in (told.hint or "")
    assert record["state"] == "done" and "not there any more" in record["error"]["message"]


def test_a_result_is_published_once(root: Path) -> None:
    damage.unpublish_and_forget(root)
    mend(root)
    kinds = [event["event"] for event in Spool(root).job(damage.job(root, "done")).log()]
    assert kinds.count("committed") == 1
    assert (damage.home(root, "done") / "result.h5").exists()


def test_a_ticket_that_was_moved_among_the_held_ones_says_so_and_what_lets_it_go_on(root: Path) -> None:
    job_id = damage.job(root, "second")
    path = damage.ticket(root, "second")
    path.rename(root / "held" / path.name)
    mend(root)
    record = Spool(root).job(job_id).status()
    assert record["state"] == "held"
    assert record["reason"] == "it was found among the held jobs; 'release' lets it go on"


def test_a_held_job_whose_ticket_was_moved_up_into_the_queue_is_still_held(root: Path) -> None:
    job_id = damage.job(root, "held")
    path = damage.ticket(root, "held")
    path.rename(root / "queue" / path.name)
    mend(root)
    assert path.exists() and Spool(root).job(job_id).status()["state"] == "held"


def test_a_held_job_whose_home_was_lost_says_so_and_whose_it_was(root: Path) -> None:
    told = {**Spool(root).queue(), "updated": None}
    for each in told["held"]:
        each["user"] = "ada"
    (root / "queue.json").write_text(json.dumps(told))
    damage.lose_home_of_a_held_job(root)
    mend(root)
    record = Spool(root).job(damage.job(root, "held")).status()
    assert record["reason"] == "its home was lost; made anew by 'qtrl-spool doctor --repair'"
    assert record["user"] == "ada"


def test_whose_job_it_was_is_not_guessed(root: Path) -> None:
    (root / "queue.json").write_text('{"format": "qtrl-queue/1"')
    damage.lose_home_of_a_held_job(root)
    mend(root)
    assert Spool(root).job(damage.job(root, "held")).status()["user"] is None


def test_of_two_tickets_the_done_one_counts_whatever_its_claim(root: Path) -> None:
    damage.queue_a_done_job_again(root)
    (told,) = mend(root)
    assert "done.c1.qjob counts" in told.said
    assert [path.name for path in root.glob("lost+found/queue/50-normal/*")] == [
        f"50-000000099-{damage.job(root, 'done')}.c3.qjob"
    ]


def test_of_two_tickets_the_one_that_was_claimed_more_often_counts(root: Path) -> None:
    damage.leave_half_a_claim(root)
    mend(root)
    assert damage.ticket(root, "third").parent.name == "gone"


def test_strays_are_put_aside_under_their_own_paths(root: Path) -> None:
    damage.put_strays_everywhere(root)
    mend(root)
    assert (root / "lost+found" / "running" / "gone" / "notes.txt").read_text() == "in running/gone"
    assert (root / "lost+found" / "queue" / "50-normal" / "a folder" / "file").exists()
    assert (root / "lost+found" / "held" / "a link").is_symlink()


def test_two_strays_of_one_name_are_both_kept(root: Path) -> None:
    for text in ("one", "two"):
        (root / "held" / "notes.txt").write_text(text)
        mend(root)
    kept = sorted(path.read_text() for path in (root / "lost+found" / "held").iterdir())
    assert kept == ["one", "two"]


def test_events_made_anew_from_a_record_add_up_to_it(root: Path) -> None:
    path = damage.home(root, "done") / "status.json"
    before = json.loads(path.read_text())
    damage.lose_events(root)
    mend(root)
    path.unlink()
    mend(root)
    after = json.loads(path.read_text())
    kept = (
        "name",
        "user",
        "uid",
        "state",
        "priority",
        "accepted",
        "started",
        "finished",
        "result",
        "attempt",
    )
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


def test_young_temporary_files_are_left_alone(root: Path) -> None:
    (root / "queue" / ".file.0a1b2c3d.tmp").write_text("being written")
    assert mend(root) == []


def test_the_tickets_of_a_server_that_is_gone_are_left_to_the_next(root: Path) -> None:
    path = damage.ticket(root, "first")
    (root / "running" / "gone").mkdir()
    path.rename(root / "running" / "gone" / path.name.replace(".c0.", ".c1."))
    assert [each for each in mend(root) if each.verdict == MENDED] == []


# ---------------------------------------------------------------- who may, and with whom


def test_two_repairs_at_once_are_refused(root: Path) -> None:
    (root / "held" / "notes.txt").touch()
    layout = Layout.of(root)
    first = repair(layout, read_settings(layout.mark), wait=lambda _: None)
    next(first)
    with pytest.raises(OperatorError, match="repaired already"):
        mend(root)
    first.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_what_root_makes_belongs_to_the_owner_of_the_spool(root: Path, tmp_path: Path) -> None:
    let_others_in(tmp_path)
    for path in (root, *root.rglob("*")):
        os.chown(path, 65000, 65000, follow_symlinks=False)
    for name in ("lose_waiting_ticket_with_a_copy", "lose_home_of_a_held_job", "tear_events", "lose_folders"):
        DAMAGES[name](root)
    damage.lose_record(root)
    for path in (root, *root.rglob("*")):
        os.chown(path, 65000, 65000, follow_symlinks=False)
    assert mend(root)
    assert [path for path in root.rglob("*") if path.lstat().st_uid != 65000] == []
    assert os.geteuid() == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another")
def test_who_may_not_write_is_told_as_whom_to_repair(root: Path, tmp_path: Path) -> None:
    let_others_in(tmp_path)
    os.seteuid(65001)
    try:
        with pytest.raises(OperatorError, match="may not write") as caught:
            mend(root)
    finally:
        os.seteuid(0)
    assert "do it as root" in str(caught.value)


@pytest.mark.parametrize("upto", [1, 2])
def test_a_ticket_that_a_dead_server_was_editing_is_left_to_it(root: Path, upto: int) -> None:
    layout, name = Layout.of(root), "held"
    place = tickets.find(layout, damage.job(root, name))
    assert place is not None
    edits = Edits(layout, "lab", tickets.Tickets(layout))
    edit = edits.begin(place, place.path.read_bytes())
    assert edit is not None and (upto == 1 or edits.decide(edit))

    done = mend(root)
    forked.serve_here(root)

    assert [each for each in done if each.what == damage.job(root, name)] == []
    assert len(promise.tickets(root)[damage.job(root, name)]) == 1
    assert state(root, name) == "held" and wrong(root) == []
