"""What the command says and how it ends, without any server."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qtrl_spool import Job, Spool, host
from qtrl_spool.cli.command import VERBS
from qtrl_spool.errors import InternalError, QtrlSpoolError, WaitTimeoutError
from qtrl_spool.job import make_id
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout

from .conftest import Run


def drops(spool: Spool) -> list[str]:
    """Return what lies in the drop boxes."""
    return spool.arriving()


# ---------------------------------------------------------------- usage


def test_help_lists_every_verb(run: Run) -> None:
    said = run("--help")
    assert said.status == 0 and all(f"  {verb} " in said.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    said = run(verb, "--help")
    assert said.status == 0 and said.out.startswith(f"Usage: qtrl-spool {verb}")


def test_a_misspelt_verb_is_wrong_usage_and_the_nearest_is_named(run: Run) -> None:
    said = run("sumbit")
    assert said.status == 2 and "did you mean 'submit'?" in said.err


def test_a_missing_argument_is_wrong_usage(run: Run, spool: Spool) -> None:
    assert run("submit").status == 2


def test_an_unknown_option_is_wrong_usage_in_one_sentence(run: Run, spool: Spool) -> None:
    said = run("queue", "--jason")
    assert said.status == 2 and said.err.count("\n") == 1 and said.err.startswith("qtrl-spool: ")


@pytest.mark.parametrize("words", [("queue",), ("status", "x"), ("submit", "x"), ("doctor",), ("serve",)])
def test_a_place_that_is_no_spool_ends_with_3(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    said = run(*words, "--spool", tmp_path)
    assert said.status == 3 and f"there is no spool at {tmp_path}" in said.err


def test_where_a_spool_is_missed_it_is_asked_for_its_share_before_another_one_is_offered(
    run: Run, tmp_path: Path
) -> None:
    said = run("queue", "--spool", tmp_path).err
    assert 0 < said.index("mounted?") < said.index("'qtrl-spool init") < said.index("a new, empty one")


def test_the_option_counts_more_than_the_environment(run: Run, spool: Spool, tmp_path: Path) -> None:
    assert run("queue", "--spool", tmp_path / "nowhere").status == 3


def test_an_unknown_job_ends_with_3(run: Run, spool: Spool) -> None:
    said = run("status", "nothing-like-it")
    assert said.status == 3 and "nothing-like-it" in said.err


def test_a_mistake_of_ours_ends_in_one_sentence(
    run: Run, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spool, "queue", lambda self, limit: {}["running"])
    said = run("queue")
    assert said.status == 1 and "please report it" in said.err and "Traceback" not in said.err


@pytest.mark.parametrize(
    ("error", "status"), [(InternalError("a"), 1), (WaitTimeoutError("b"), 4), (QtrlSpoolError("c"), 1)]
)
def test_the_class_of_an_error_decides_the_exit_status(
    run: Run, spool: Spool, monkeypatch: pytest.MonkeyPatch, error: QtrlSpoolError, status: int
) -> None:
    def fails(self: Spool, limit: int | None) -> None:
        raise error

    monkeypatch.setattr(Spool, "queue", fails)
    assert run("queue").status == status


def test_an_interrupt_ends_with_130(run: Run, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Spool, limit: int | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "queue", interrupted)
    assert run("queue").status == 130


@pytest.mark.parametrize("words", [(), ("config",)])
def test_a_command_without_a_verb_explains_itself_and_is_wrong_usage(
    run: Run, words: tuple[str, ...]
) -> None:
    said = run(*words)
    assert said.status == 2 and said.err.startswith("Usage: qtrl-spool") and not said.out


@pytest.mark.parametrize(
    ("words", "verb"), [(("queue", "--jason"), "queue"), (("submit", "--n-reps", "0", "x"), "submit")]
)
def test_wrong_usage_points_at_the_help_of_the_verb(
    run: Run, spool: Spool, words: tuple[str, ...], verb: str
) -> None:
    assert f"see 'qtrl-spool {verb} --help'" in run(*words).err


def test_a_count_that_is_none_is_refused_in_plain_words(run: Run, spool: Spool, job_file: Path) -> None:
    assert "'abc' is not a valid whole number" in run("submit", job_file, "--n-reps", "abc").err


def test_a_server_without_a_name_is_wrong_usage(run: Run, spool: Spool) -> None:
    assert run("serve", "--name", "").status == 2


@pytest.mark.parametrize(
    ("words", "status", "kind"),
    [
        (("status", "nothing-like-it"), 3, "NotFoundError"),
        (("queue", "--jason"), 2, "UsageError"),
        (("queue", "--spool", "/nowhere"), 3, "NotFoundError"),
        (("sumbit",), 2, "UsageError"),
    ],
)
def test_a_refusal_is_a_document_where_json_is_asked_for(
    run: Run, spool: Spool, words: tuple[str, ...], status: int, kind: str
) -> None:
    said = run(*words, "--json")
    error = said.facts["error"]
    assert (said.status, error["type"], set(error)) == (status, kind, {"type", "message", "where", "hint"})
    assert error["message"] in said.err


def test_a_refusal_as_json_lists_every_problem(run: Run, spool: Spool, misspelt: Path) -> None:
    assert len(run("submit", misspelt, "--json").facts["problems"]) == 2


def test_a_mistake_of_ours_is_a_document_too(run: Run, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "queue", lambda self, limit: {}["running"])
    assert run("queue", "--json").facts["error"]["type"] == "InternalError"


# ---------------------------------------------------------------- init


def test_init_of_a_file_says_that_it_is_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run("init", tmp_path / "file")
    assert said.status == 1 and "file is a file (name a new or an empty folder)" in said.err


def test_init_where_no_folder_can_be_made_names_the_remedy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run("init", tmp_path / "file" / "spool")
    assert said.status == 1 and "name a folder in a place that you may write to" in said.err


def test_init_prints_where_the_spool_is_and_nothing_else(run: Run, tmp_path: Path) -> None:
    said = run("init", tmp_path / "new")
    assert (said.status, said.out) == (0, f"{tmp_path / 'new'}\n")


def test_init_without_a_directory_makes_the_spool_that_the_environment_names(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTRL_SPOOL", str(tmp_path / "named"))
    run("init")
    assert Spool(tmp_path / "named").config["variables/Q1/freq"] > 1e9


def test_init_tells_its_warnings_on_stderr(run: Run, tmp_path: Path, lab_config: Path) -> None:
    said = run("init", tmp_path / "new", "--config", lab_config)
    assert said.status == 0 and "of type Eval skipped" in said.err and "Eval" not in said.out


def test_init_where_a_spool_is_fails(run: Run, spool: Spool) -> None:
    said = run("init", spool.path)
    assert said.status == 1 and "there is a spool" in said.err


def test_init_with_a_folder_that_is_not_there_ends_with_3(run: Run, tmp_path: Path) -> None:
    assert run("init", tmp_path / "new", "--config", tmp_path / "nowhere").status == 3


# ---------------------------------------------------------------- submit, check


def test_submit_prints_the_id_and_nothing_else(run: Run, spool: Spool, job_file: Path) -> None:
    said = run("submit", job_file)
    assert (said.status, said.err) == (0, "") and drops(spool) == [f"50-normal/{said.out.strip()}.qjob"]


def test_submit_takes_a_priority_by_its_label(run: Run, spool: Spool, job_file: Path) -> None:
    run("submit", job_file, "--priority", "urgent")
    assert drops(spool)[0].startswith("10-urgent/")


def test_an_unknown_priority_is_wrong_usage_and_drops_nothing(run: Run, spool: Spool, job_file: Path) -> None:
    said = run("submit", job_file, "--priority", "now")
    assert (said.status, drops(spool)) == (2, [])


def test_submit_as_json_tells_the_status_of_each_job(run: Run, spool: Spool, job_file: Path) -> None:
    said = run("submit", job_file, job_file, "--json")
    assert [each["state"] for each in said.facts] == ["queued", "queued"]


def test_submit_refuses_misspelt_pulses_one_sentence_for_each(run: Run, spool: Spool, misspelt: Path) -> None:
    said = run("submit", misspelt)
    sentences = said.err.splitlines()
    assert said.status == 1 and len(sentences) == 2
    assert "Q1/X181" in sentences[0] and "Q9/X180" in sentences[1]


def test_one_bad_bundle_keeps_all_from_being_queued(
    run: Run, spool: Spool, job_file: Path, misspelt: Path
) -> None:
    run("submit", job_file, misspelt)
    assert drops(spool) == []


def test_submit_of_what_is_not_there_ends_with_3(run: Run, spool: Spool) -> None:
    assert run("submit", "nowhere.yaml").status == 3


def test_a_setting_is_a_number_as_physicists_write_it(run: Run, spool: Spool, job_file: Path) -> None:
    said = run("submit", job_file, "--set", "variables/Q1/freq=5.1e9")
    assert packed(spool, said.out)["variables"]["Q1"]["freq"] == 5.1e9


def test_a_setting_counts_more_than_the_file_and_the_file_more_than_the_bundle(
    run: Run, spool: Spool, tmp_path: Path, job_file: Path
) -> None:
    bundle, patch = tmp_path / "own.json", tmp_path / "patch.yaml"
    bundle.write_text(
        job_file.read_text()[:-1] + ', "config": {"variables": {"Q1": {"amp_180": 0.1, "amp_90": 0.1}}}}'
    )
    patch.write_text("variables/Q1: {amp_90: 0.2, rabi_amp: 0.2}\n")
    said = run("submit", bundle, "--config", patch, "--set", "variables/Q1/rabi_amp=0.3")
    assert packed(spool, said.out) == {"variables": {"Q1": {"amp_180": 0.1, "amp_90": 0.2, "rabi_amp": 0.3}}}


def packed(spool: Spool, job_id: str) -> dict:
    """Return the patch of a job that was dropped."""
    from qtrl_spool.spool.drops import read_drop

    return dict(read_drop(spool.path / "incoming" / "50-normal" / f"{job_id.strip()}.qjob").patch)


def test_a_misspelt_setting_is_refused_with_the_nearest_key(run: Run, spool: Spool, job_file: Path) -> None:
    said = run("submit", job_file, "--set", "variables/Q1/frq=5.1e9")
    assert said.status == 1 and "did you mean 'freq'" in said.err and drops(spool) == []


def test_a_setting_without_a_value_is_wrong_usage(run: Run, spool: Spool, job_file: Path) -> None:
    assert run("submit", job_file, "--set", "variables/Q1/freq").status == 2


def test_check_says_what_is_fine_and_what_is_not(
    run: Run, spool: Spool, job_file: Path, misspelt: Path
) -> None:
    said = run("check", job_file, misspelt)
    assert said.status == 1 and said.out.splitlines() == [f"{job_file}: fine", f"{misspelt}: refused"]


def test_check_drops_nothing(run: Run, spool: Spool, job_file: Path) -> None:
    assert run("check", job_file).status == 0 and drops(spool) == []


def test_check_as_json_lists_every_problem(run: Run, spool: Spool, misspelt: Path) -> None:
    (verdict,) = run("check", misspelt, "--json").facts
    assert not verdict["ok"] and len(verdict["problems"]) == 2


def test_what_is_wrong_with_an_append_is_told_with_its_line(run: Run, spool: Spool, misspelt: Path) -> None:
    problems = run("check", misspelt, "--json").facts[0]["problems"]
    lines = misspelt.read_text().splitlines()
    for problem, key in zip(problems, ("Q1/X181", "Q9/X180"), strict=True):
        name, line, _ = problem["where"].split(":", 2)
        assert name == misspelt.name and key in lines[int(line) - 1] and key in problem["message"]


# ---------------------------------------------------------------- looking


@pytest.fixture
def submitted(run: Run, spool: Spool, job_file: Path) -> str:
    """Return the id of a job that waits to be accepted."""
    return run("submit", job_file, "--name", "first").out.strip()


def test_status_takes_any_part_of_an_id_that_is_one_jobs_alone(run: Run, submitted: str) -> None:
    assert run("status", submitted[-5:], "--json").facts["id"] == submitted


def test_status_of_a_job_that_is_not_accepted_says_so(run: Run, submitted: str) -> None:
    assert "not yet accepted" in run("status", submitted).out


@pytest.mark.parametrize("words", [("cancel",), ("hold",), ("drain",)])
def test_a_request_that_cannot_be_written_is_not_said_to_wait_for_a_server(
    run: Run, spool: Spool, submitted: str, words: tuple[str, ...]
) -> None:
    shutil.rmtree(spool.path / "requests")
    (spool.path / "requests").touch()

    said = run(*words, *([submitted] if words != ("drain",) else []), "--timeout", "5")

    assert said.status == 1 and "waiting 5 s" not in said.err and "requests" in said.err


def test_a_request_that_lies_there_is_said_to_wait_for_a_server(run: Run, submitted: str) -> None:
    said = run("cancel", submitted, "--timeout", "0.02")
    assert said.status == 4 and said.err.startswith("no server is running: waiting 0.02 s for one\n")


def test_a_job_is_named_by_the_file_that_was_dropped(run: Run, spool: Spool) -> None:
    ids = [make_id("rabi", now=datetime.now(UTC), letters=letters) for letters in ("aaaaa", "bbbbb", "ccccc")]
    for job_id, drop in zip(ids, ("50-normal/one.yaml", "two.yaml", "70-low/two.yaml"), strict=True):
        layout = Layout(spool.path)
        layout.home(job_id).mkdir(parents=True)
        Journal(layout, "lab", durable=False).note(job_id, 0, "accepted", drop=drop)

    assert run("status", "one.yaml", "--json").facts["id"] == ids[0]
    assert run("status", "two.yaml").status == 2 and "names 2 jobs" in run("status", "two.yaml").err
    assert run("status", "three.yaml").status == 3


def test_a_rejected_drop_is_found_by_its_name(run: Run, spool: Spool) -> None:
    layout, job_id = Layout(spool.path), make_id("rabi", now=datetime.now(UTC), letters="aaaaa")
    layout.home(job_id).mkdir(parents=True)
    Journal(layout, "lab", durable=False).note(job_id, 0, "rejected", rejected=f"rejected/{job_id}~mine.yaml")

    assert run("status", "mine.yaml", "--json").facts["id"] == job_id


def test_queue_shows_what_was_dropped_and_is_not_accepted(run: Run, spool: Spool, job_file: Path) -> None:
    (spool.path / "incoming" / "70-low" / "by-hand.json").write_bytes(job_file.read_bytes())
    assert "by-hand.json" in run("queue").out


@pytest.mark.parametrize("name", ["Thumbs.db", "rabi.json.part", "rabi.json~", ".DS_Store"])
def test_queue_does_not_show_what_is_no_drop(run: Run, spool: Spool, name: str) -> None:
    (spool.path / "incoming" / "50-normal" / name).touch()
    assert run("queue", "--json").facts["arriving"] == []


def test_queue_does_not_show_a_drop_that_was_copied(run: Run, spool: Spool) -> None:
    from qtrl_spool.spool.copies import mark
    from qtrl_spool.spool.layout import Layout

    drop = spool.path / "incoming" / "50-normal" / "adas job"
    drop.mkdir()
    mark(Layout.of(spool.path), drop, 1000, "0", "20261123-101530-rabi-k3f9x")
    assert run("queue", "--json").facts["arriving"] == []


@pytest.fixture
def half(spool: Spool) -> str:
    """Return the name of a drop that a server finds unfinished."""
    (spool.path / "incoming" / "50-normal" / "half.json").write_text("{")
    drop = {"drop": "50-normal/half.json", "reason": "the JSON ends too early"}
    (spool.path / "queue.json").write_text(json.dumps({"format": "qtrl-queue/1", "arriving": [drop]}))
    return "half.json"


def test_queue_says_why_a_drop_waits(run: Run, half: str) -> None:
    assert "the JSON ends too early" in run("queue").out


def test_queue_as_json_says_why_a_drop_waits(run: Run, half: str) -> None:
    assert run("queue", "--json").facts["arriving"] == [
        {"drop": "50-normal/half.json", "reason": "the JSON ends too early"}
    ]


@pytest.mark.parametrize("word", ["half.json", "half", "50-normal/half.json"])
def test_status_of_a_drop_that_is_no_job_yet_says_where_it_lies_and_why(
    run: Run, half: str, word: str
) -> None:
    said = run("status", word)
    assert said.status == 3
    assert "lies in incoming/50-normal/half.json and is not accepted yet: the JSON ends" in said.err


def test_a_part_of_many_ids_ends_with_dots(run: Run, spool: Spool, job_file: Path) -> None:
    run("submit", *[job_file] * 6)
    said = run("status", "rabi")
    assert said.status == 2 and "names 6 jobs: " in said.err and ", …" in said.err


def test_queue_of_an_empty_spool_prints_no_data(run: Run, spool: Spool) -> None:
    said = run("queue")
    assert (said.status, said.out) == (0, "") and "no server is running" in said.err


def test_queue_as_json_is_one_document(run: Run, spool: Spool) -> None:
    assert run("queue", "--json").facts["format"] == "qtrl-queue/1"


def test_top_in_a_pipe_shows_the_queue_once(run: Run, submitted: str) -> None:
    assert run("top").status == 0


def test_jobs_finds_by_name(run: Run, submitted: str) -> None:
    assert [each["id"] for each in run("jobs", "--name", "first", "--json").facts] == [submitted]


def test_jobs_that_do_not_fit_are_not_shown(run: Run, submitted: str) -> None:
    assert run("jobs", "--state", "done", "--json").facts == []


@pytest.mark.parametrize("words", [("--state", "ready"), ("--since", "some day"), ("--limit", "0")])
def test_jobs_refuses_what_no_job_can_be(run: Run, spool: Spool, words: tuple[str, str]) -> None:
    assert run("jobs", *words).status == 2


@pytest.mark.parametrize("since", ["2026-01-01", "today", "yesterday", "30d"])
def test_jobs_takes_days_as_people_say_them(run: Run, submitted: str, since: str) -> None:
    assert len(run("jobs", "--since", since, "--json").facts) == 1


def test_waiting_too_long_ends_with_4(run: Run, submitted: str) -> None:
    said = run("wait", submitted, "--timeout", "0")
    assert said.status == 4 and "still queued" in said.err


def test_waiting_too_long_tells_the_time_that_was_given_and_that_no_server_is_running(
    run: Run, submitted: str
) -> None:
    said = run("wait", submitted, "--timeout", "0.02")
    assert f"job {submitted} is still queued after 0.02 s (no server is running)" in said.err


def test_waiting_for_several_jobs_counts_those_that_ended(run: Run, spool: Spool, submitted: str) -> None:
    said = run("wait", submitted, submitted, "--timeout", "0")
    assert "still queued after 0 s, 0 of 2 jobs ended" in said.err


def test_an_interrupted_wait_says_that_the_job_goes_on(
    run: Run, submitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Job, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "wait", interrupted)
    said = run("wait", submitted)
    assert said.status == 130 and said.err == "qtrl-spool: interrupted; the job goes on\n"


def test_the_status_of_a_job_that_is_not_accepted_says_whose_it_is_and_that_no_server_is_running(
    run: Run, submitted: str
) -> None:
    record = run("status", submitted, "--json").facts
    assert record["user"] == host.user_name(os.getuid()) and record["submitted"] and not record["accepted"]
    assert "queued: not yet accepted (no server is running)" in run("status", submitted).out


def test_watch_says_of_a_waiting_job_what_status_says(run: Run, submitted: str) -> None:
    assert "queued: not yet accepted (no server is running)" in run("watch", submitted).out


@pytest.mark.parametrize("change", [str.upper, str.title, lambda job_id: job_id[-5:].upper()])
def test_a_job_is_named_in_any_letter_case(run: Run, submitted: str, change: Callable[[str], str]) -> None:
    assert run("status", change(submitted), "--json").facts["id"] == submitted


def test_a_job_that_is_not_done_has_no_result(run: Run, submitted: str) -> None:
    said = run("result", submitted)
    assert said.status == 3 and "no result yet" in said.err


def test_the_log_of_a_job_that_is_not_accepted_is_empty(run: Run, submitted: str) -> None:
    assert run("log", submitted, "--json").facts == []


# ---------------------------------------------------------------- configuration


def test_config_show_prints_the_bare_value(run: Run, spool: Spool) -> None:
    said = run("config", "show", "variables/Q1/freq", "--json")
    assert said.facts == spool.config["variables/Q1/freq"]


def test_config_show_prints_derived_values(run: Run, spool: Spool) -> None:
    assert "mod_freq" in run("config", "show", "variables/Q1").out


def test_config_show_of_a_path_like_none_says_what_there_is(run: Run, spool: Spool) -> None:
    assert "there are 'hardware', 'common'" in run("config", "show", "variables/zzz").err


def test_config_show_of_an_unknown_path_ends_with_3(run: Run, spool: Spool) -> None:
    said = run("config", "show", "variables/Q1/frq")
    assert said.status == 3 and "freq" in said.err


def test_config_show_effective_puts_the_patch_in(run: Run, spool: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--set", "variables/Q1/freq=5.1e9").out.strip()
    assert run("config", "show", "variables/Q1/freq", "--effective", job_id, "--json").facts == 5.1e9


def test_config_log_begins_with_version_1(run: Run, spool: Spool) -> None:
    (entry,) = run("config", "log", "--json").facts
    assert (entry["version"], entry["who"]) == (1, "ada")


def test_config_set_needs_a_reason(run: Run, spool: Spool) -> None:
    assert run("config", "set", "variables/Q1/freq=5e9").status == 2


def test_config_validate_of_the_shipped_configuration_is_fine(run: Run, spool: Spool) -> None:
    assert run("config", "validate").status == 0


def test_config_validate_names_the_line(run: Run, spool: Spool) -> None:
    (spool.config.files / "variables.yaml").write_text("Q1: {freq: 5e9\n")
    said = run("config", "validate")
    assert said.status == 1 and "variables.yaml:" in said.err


def test_config_show_why_tells_what_a_value_follows_from(run: Run, spool: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--set", "variables/Q1/freq=5.1e9").out.strip()
    said = run("config", "show", "variables/Q1/mod_freq", "--why", "--effective", job_id)
    first, second, third = said.out.splitlines()
    assert "derived, Q1/freq - hardware/qubit_LO" in first
    assert "variables/Q1/freq = 5100000000.0: the patch" in second
    assert "variables/hardware/qubit_LO" in third and "the default at version 1" in third


def test_config_show_why_as_json_is_a_tree_of_sources(run: Run, spool: Spool) -> None:
    (origin,) = run("config", "show", "pulses/Q1/180/0/freq", "--why", "--json").facts
    assert (origin["from"], origin["sources"][0]["from"]) == ("variable", "derived")
    assert origin["sources"][0]["sources"][0]["since"]["version"] == 1


def test_config_show_why_needs_a_path(run: Run, spool: Spool) -> None:
    assert run("config", "show", "--why").status == 2


def test_config_schema_prints_a_json_schema(run: Run) -> None:
    assert run("config", "schema", "pulses").facts["title"] == "pulses"


def test_config_schema_writes_all_of_them(run: Run, tmp_path: Path) -> None:
    paths = run("config", "schema", "--to", tmp_path / "schemas").out.split()
    titles = {json.loads(Path(path).read_text())["title"] for path in paths}
    assert titles == {"variables", "pulses", "adc", "dac", "devices", "simulator"}


@pytest.mark.parametrize(("words", "status"), [((), 2), (("pulse",), 3)])
def test_config_schema_of_what_has_none_is_refused(run: Run, words: tuple[str, ...], status: int) -> None:
    assert run("config", "schema", *words).status == status
