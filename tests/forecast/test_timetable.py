"""The queue played forward."""

from __future__ import annotations

import pytest

from qtrl_spool.forecast.kinds import Kind
from qtrl_spool.forecast.learning import Learnt, Ran
from qtrl_spool.forecast.sums import Deviations
from qtrl_spool.forecast.timetable import Foretold, Runs, Serves, Timetable, Waits

MINUTE = Kind("minute", "ada", n_batches=6)


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    found = Learnt()
    for _ in range(30):
        found.observe(Ran(MINUTE, 10.0, 0.01, 0.5))
    return found


def play(learnt: Learnt, servers: list[Serves], *jobs: Waits) -> dict[str, Foretold]:
    return Timetable(servers, learnt, Deviations()).play(jobs)


def starts(told: dict[str, Foretold], *ids: str) -> list[float]:
    return [told[each].start.middle for each in ids]


def waits(job_id: str, **more: object) -> Waits:
    return Waits(job_id, MINUTE, left=6)._replace(**more)


def test_jobs_run_one_after_another(learnt: Learnt) -> None:
    told = play(learnt, [Serves("lab")], waits("a"), waits("b"), waits("c"))

    assert starts(told, "a", "b", "c") == pytest.approx([0, 60, 120], abs=5)
    assert told["c"].finish.middle == pytest.approx(180, abs=8)


def test_an_interval_holds_its_middle_and_grows_with_the_queue(learnt: Learnt) -> None:
    told = play(learnt, [Serves("lab")], *(waits(str(n)) for n in range(20)))
    widths = [each.start.high - each.start.low for each in told.values()]

    assert all(each.start.low <= each.start.middle <= each.start.high for each in told.values())
    assert widths[2] < widths[10] < widths[19]


def test_the_running_job_is_reckoned_with_as_far_as_it_has_come(learnt: Learnt) -> None:
    runs = Runs("r", MINUTE, done=4, n_batches=6, since=40.0, last=40.0, n_timed=4)
    told = play(learnt, [Serves("lab", runs)], waits("a"))

    assert starts(told, "a") == pytest.approx([20], abs=2)
    assert told["r"].finish.middle == pytest.approx(20, abs=3)


def test_a_running_job_that_is_slower_than_its_like_corrects_what_is_left_of_it(learnt: Learnt) -> None:
    runs = Runs("r", MINUTE, done=3, n_batches=6, since=60.0, last=60.0, n_timed=3)

    assert play(learnt, [Serves("lab", runs)])["r"].finish.middle == pytest.approx(60, rel=0.3)


def test_a_batch_that_is_overdue_is_not_expected_in_the_past(learnt: Learnt) -> None:
    runs = Runs("r", MINUTE, done=5, n_batches=6, since=100.0, last=50.0, n_timed=5)

    assert play(learnt, [Serves("lab", runs)], waits("a"))["a"].start.low >= 0


def test_two_servers_share_the_work_and_a_wish_for_one_of_them_is_kept(learnt: Learnt) -> None:
    east = [waits(name, instrument="east") for name in "ab"]
    told = play(learnt, [Serves("east"), Serves("west")], *east, waits("c"), waits("d"))

    assert starts(told, "a", "b", "c", "d") == pytest.approx([0, 60, 0, 60], abs=6)


def test_a_job_that_no_server_takes_is_not_foretold(learnt: Learnt) -> None:
    assert "a" not in play(learnt, [Serves("east")], waits("a", instrument="south"))


def test_a_job_that_may_not_start_yet_lets_others_go_first(learnt: Learnt) -> None:
    told = play(learnt, [Serves("lab")], waits("late", not_before=100.0), waits("a"), waits("b"), waits("c"))

    assert starts(told, "a", "b", "late", "c") == pytest.approx([0, 60, 120, 180], abs=8)


def test_an_idle_server_waits_for_a_job_that_may_not_start_yet(learnt: Learnt) -> None:
    assert starts(play(learnt, [Serves("lab")], waits("late", not_before=500.0)), "late") == [
        pytest.approx(500, abs=1)
    ]


def test_a_job_starts_after_those_that_it_waits_for_wherever_they_stand(learnt: Learnt) -> None:
    jobs = waits("last", after=("b", "a")), waits("a"), waits("b")
    told = play(learnt, [Serves("east"), Serves("west")], *jobs)

    assert told["last"].start.middle == pytest.approx(60, abs=6)
    assert told["a"].start.middle == told["b"].start.middle == pytest.approx(0, abs=1)


def test_a_paused_server_ends_what_it_runs_and_takes_nothing(learnt: Learnt) -> None:
    runs = Runs("r", MINUTE, done=4, n_batches=6, since=40.0, last=40.0, n_timed=4)
    servers = [Serves("lab", runs, takes=False), Serves("west")]
    told = play(learnt, servers, waits("a", instrument="lab"), waits("b", after=("r",)))

    assert told["r"].finish.middle == pytest.approx(20, abs=3)
    assert "a" not in told and starts(told, "b") == pytest.approx([20], abs=3)


def test_nobody_knows_when_a_job_starts_that_waits_for_one_that_does_not_run(learnt: Learnt) -> None:
    told = play(learnt, [Serves("lab")], waits("a", after=("held",)), waits("b", after=("a",)), waits("c"))

    assert set(told) == {"c"}


def test_jobs_that_wait_for_each_other_are_not_foretold_and_disturb_nobody(learnt: Learnt) -> None:
    told = play(learnt, [Serves("lab")], waits("a", after=("b",)), waits("b", after=("a",)), waits("c"))

    assert set(told) == {"c"}
