"""A real server on instruments that hang, raise, lie, or are not well."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi

from .support import Serve, ServerProcess, quick, until


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that mends a nasty backend; locks of instruments lie in a folder of this test."""
    path = tmp_path / "mended"
    monkeypatch.setenv("NASTY_SWITCH", str(path))
    monkeypatch.setenv("QTRL_SPOOL_LOCKS", str(tmp_path))
    return path


def on(serve: Serve, kind: str) -> ServerProcess:
    return serve("--backend", f"tests.backends.nasty:{kind}").ready()


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("Raising", "InternalError", "ZeroDivisionError"),
        ("Failing", "BackendError", "the digitizer does not answer"),
        ("NotNumbers", "BackendError", "no finite numbers"),
        ("LosingTriggers", "BackendError", "expected"),
        ("WrongAxes", "BackendError", "expected"),
        ("ReturningNothing", "BackendError", "NoneType"),
    ],
)
def test_what_a_backend_does_wrong_fails_its_job_alone(
    spool: Spool, serve: Serve, switch: Path, kind: str, error: str, message: str
) -> None:
    on(serve, kind)
    job = spool.submit(pi_no_pi(0), **quick()).wait(60)

    switch.touch()
    other = spool.submit(pi_no_pi(0), **quick()).wait(60)

    assert job.status()["error"]["type"] == error
    assert message in job.status()["error"]["message"]
    assert (job.state, other.state) == ("failed", "done")


def test_a_backend_that_hangs_is_given_up_and_the_next_job_runs(
    spool: Spool, serve: Serve, switch: Path
) -> None:
    mark = spool.path / "spool.yaml"
    mark.write_text(mark.read_text().replace("hang_s: 600", "hang_s: 1"))
    server = on(serve, "Hanging")
    job = spool.submit(pi_no_pi(0), **quick()).wait(60)

    error = job.status()["error"]
    switch.touch()
    other = spool.submit(pi_no_pi(0), **quick()).wait(60)

    assert (job.state, error["type"]) == ("failed", "BackendError")
    assert "did not come back" in error["message"] and "hang_s" in error["hint"]
    assert other.state == "done"
    assert "given up" in server.said()


def test_an_instrument_that_is_not_well_pauses_its_queue_with_the_reason(
    spool: Spool, serve: Serve, switch: Path
) -> None:
    on(serve, "Warm")
    job = spool.submit(pi_no_pi(0), **quick())
    until(lambda: "fridge warm: 4.2 K" in (job.status()["reason"] or ""))
    state = job.state

    switch.touch()

    assert state == "queued"
    assert job.wait(60).state == "done"


def test_an_instrument_that_cannot_be_opened_costs_no_job(spool: Spool, serve: Serve, switch: Path) -> None:
    on(serve, "NotConnecting")
    job = spool.submit(pi_no_pi(0), **quick())
    until(lambda: "no instrument at 10.0.0.7" in (job.status()["reason"] or ""))

    switch.touch()

    assert job.wait(60).state == "done"


def test_a_job_that_the_instrument_cannot_do_never_reaches_it(
    spool: Spool, serve: Serve, switch: Path
) -> None:
    on(serve, "Small")
    job = spool.submit(pi_no_pi(0), **quick()).wait(60)

    assert job.status()["error"]["type"] == "ConfigError"
    assert "channels, the instrument has 1" in job.status()["error"]["message"]
    assert "started" not in [event["event"] for event in job.log()]


def test_a_failing_instrument_is_tried_again_as_often_as_the_job_allows(
    spool: Spool, serve: Serve, switch: Path
) -> None:
    on(serve, "Failing")
    job = spool.submit(pi_no_pi(0), **quick(retries=3))
    until(lambda: [event["event"] for event in job.log()].count("error") >= 1)

    switch.touch()

    assert job.wait(60).state == "done"
    assert job.status()["attempt"] >= 2
