"""Where a waiting job stands, and why, in words."""

from __future__ import annotations

from qtrl_spool.spool.standing import Line, Serving, Standing, listing, serving


def stand(*jobs: tuple[str, str | None], busy: tuple[str, ...] = ()) -> list[Standing]:
    line = Line([Serving(name, name, name in busy) for name in ("east", "west")])
    return [line.next(user, instrument) for user, instrument in jobs]


def test_the_first_job_is_next() -> None:
    assert stand(("ada", None)) == [Standing(0, (), "next")]


def test_the_first_job_comes_after_the_running_one_when_every_server_is_busy() -> None:
    assert stand(("ada", None), busy=("east", "west"))[0].reason == "next, after the running job"
    assert stand(("ada", None), busy=("east",))[0].reason == "next"
    assert stand(("ada", "east"), busy=("east",))[0].reason == "next, after the running job"


def test_a_job_is_told_how_many_are_ahead_and_whose() -> None:
    last = stand(("ada", None), ("bob", None), ("ada", None), ("eve", None))[-1]

    assert (last.place, last.ahead, last.users) == (4, 3, ("ada", "bob"))
    assert last.reason == "waiting for 3 jobs (of ada and bob)"


def test_jobs_of_other_instruments_are_not_ahead() -> None:
    jobs = stand(("ada", "east"), ("bob", "west"), ("eve", "east"), ("joe", None), ("ada", "west"))

    assert [each.place for each in jobs] == [1, 1, 2, 4, 3]
    assert jobs[4].reason == "waiting for 2 jobs (of bob and joe)"


def test_a_job_that_may_not_run_has_a_place_but_stands_in_nobodys_way() -> None:
    line = Line([Serving("east", "east")])
    line.next("ada")
    waits = line.next("bob", kept="after job x")
    behind = line.next("eve")

    assert (waits.place, waits.reason) == (2, "after job x")
    assert (behind.place, behind.reason) == (2, "waiting for 1 job (of ada)")


def test_what_keeps_one_job_is_said_before_what_keeps_them_all_and_places_stay() -> None:
    line = Line([Serving("east", "east")], lambda instrument: "the queue is paused: fridge warm")

    assert line.next("ada") == Standing(0, (), "the queue is paused: fridge warm")
    assert line.next("bob", kept="after job x") == Standing(
        1, ("ada",), "after job x; the queue is paused: fridge warm"
    )


def test_a_server_and_its_instrument_are_the_same_wish() -> None:
    line = Line([Serving("lab", "fridge")])
    line.next("ada", "fridge")

    assert line.next("bob", "lab").ahead == 1


def test_a_job_that_no_server_takes_is_told_so() -> None:
    assert stand(("ada", "south"))[0].reason == "no server takes instrument south"
    assert Line([]).next("ada").reason == "no server is running"


def test_a_standby_takes_no_jobs() -> None:
    beats = [{"name": "lab", "instrument": "fridge"}, {"name": "spare", "standby": True}]

    assert serving(beats, ["lab"]) == (Serving("lab", "fridge", busy=True),)


def test_names_are_listed_in_words() -> None:
    told = [listing(tuple("abcde"[:n])) for n in range(6)]

    assert told == ["", "a", "a and b", "a, b and c", "a, b, c and 1 other", "a, b, c and 2 others"]
