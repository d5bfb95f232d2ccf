"""queue.json: one record a line, read back whole, in part, or as whatever else wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.forecast.timetable import Foretold, Times
from qtrl_spool.job import blank_record
from qtrl_spool.spool import snapshot
from qtrl_spool.spool.snapshot import Snapshot
from qtrl_spool.spool.standing import listing, waiting_for


def record(number: int, name: str = "rabi") -> dict[str, Any]:
    return snapshot.short({**blank_record(f"20261123-101530-rabi-{number:05d}", name), "claim": 0})


def written(records: list[dict[str, Any]], **more: list[dict[str, Any]]) -> bytes:
    sections = {"queued": records, **more}
    lines = {name: list(map(snapshot.line, each)) for name, each in sections.items()}
    return b"".join(snapshot.text({"updated": "2026-11-23T10:15:30.000000Z"}, lines))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5), st.integers(0, 6))
def test_what_was_written_is_read_back_whatever_names_hold(names: list[str], most: int) -> None:
    records = [record(n, name) for n, name in enumerate(names)]
    data = written(records, servers=[{"name": "lab"}])

    assert json.loads(data)["queued"] == records
    assert Snapshot(data).records("queued") == records
    assert Snapshot(data).records("queued", most) == records[:most]
    assert Snapshot(data).records("held") == []
    assert [Snapshot(data).record(each["id"]) for each in records] == records


def test_a_job_that_is_not_in_it_is_not_found() -> None:
    assert Snapshot(written([record(1)])).record("20261123-101530-rabi-99999") is None


def test_it_counts_what_it_holds() -> None:
    counts = json.loads(written([record(1), record(2)], running=[record(3)]))["counts"]

    assert counts == {"running": 1, "queued": 2, "held": 0, "arriving": 0}


def test_a_snapshot_that_somebody_reformatted_says_the_same() -> None:
    records = [record(1), record(2)]
    data = json.dumps(json.loads(written(records)), indent=4).encode()

    assert Snapshot(data).records("queued", 1) == records[:1]
    assert Snapshot(data).record(records[1]["id"]) == records[1]
    assert Snapshot(data).n("queued") == 2


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": "something/1"}', written([record(1)])[:-40]])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Snapshot(data)


def test_the_line_of_a_waiting_job_is_its_record_with_the_varying_part_put_in() -> None:
    card = snapshot.Card(record(1, 'a "name"'))
    made = card.line(3, 2, ("ada", "bob"), "waiting for 2 jobs", snapshot.NO_ETAS)

    more = {"place": 3, "ahead": 2, "users_ahead": ["ada", "bob"], "reason": "waiting for 2 jobs"}
    assert json.loads(made) == {**record(1, 'a "name"'), **more}


def test_the_line_of_a_job_with_a_label_names_its_owner_too() -> None:
    labelled = snapshot.short({**record(1), "user": "root", "owner": "bob"})
    made = snapshot.Card(labelled).line(1, 0, (), "next", snapshot.NO_ETAS)
    assert json.loads(made)["owner"] == "bob" and "owner" not in record(1)


@pytest.mark.parametrize("ahead", [2, 3, 5_000])
@pytest.mark.parametrize("users", [(), ("ada",), ('a "name"', "böb", "eve", "joe")])
def test_the_line_of_a_job_that_only_waits_for_others_says_the_same(
    ahead: int, users: tuple[str, ...]
) -> None:
    card, words = snapshot.Card(record(1, "rabi")), f" (of {listing(users)})" if users else ""

    made = card.behind(ahead, users, words, snapshot.NO_ETAS)

    assert made == card.line(ahead + 1, ahead, users, waiting_for(ahead, words), snapshot.NO_ETAS)


def test_other_times_are_put_into_a_line_whatever_its_names_hold() -> None:
    card = snapshot.Card(record(1, ',"eta_start":1,"phase":2'))
    etas = snapshot.etas(Foretold(Times(1e9, 1e9, 2e9), Times(1e9, 2e9, 3e9)))
    before = card.line(3, 2, (',"eta_start":',), ',"phase":', snapshot.NO_ETAS)

    assert snapshot.retimed(before, etas) == card.line(3, 2, (',"eta_start":',), ',"phase":', etas)
