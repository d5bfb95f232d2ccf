"""What the old program found when the hardware was running, ``check`` and ``submit`` find before it."""

from __future__ import annotations

import json
import re
import shutil
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence import SequenceWrapper, simultaneous
from tests.server.support import ServerProcess, until

from .conftest import Run

READ = [{"pulse": "Readout/R1"}, {"pulse": "Readout/Trigger", "start_delay": 1.3e-7}]
"""What every sequence must have; the mistakes follow from append 2 on."""

MISTAKES: dict[str, tuple[list[Any], list[str]]] = {
    "an unknown pulse key": (
        [{"pulse": "Q1/X18"}],
        ["append 2: there is no pulse 'Q1/X18'", "did you mean 'Q1/X180'"],
    ),
    "an unknown field of an append": (
        [{"pulse": "Q1/X180", "elment": 0}],
        ["append 2: a pulse has no field 'elment'", "did you mean 'element'"],
    ),
    "an element that is not there": (
        [{"pulse": "Q1/X180", "element": 7}],
        ["append 2: element 7 is not one of the sequence's 3 elements"],
    ),
    "an element of a sweep that is not there": (
        [{"pulse": "Q1/X180", "element": {"sweep": [0, 5]}}],
        ["append 2: element 3 of the sweep is not one of 0 to 2"],
    ),
    "a sweep of another length": (
        [{"pulse": "Q1/rabi", "element": {"sweep": [0, 3]}, "width": {"linspace": [0, 1e-6, 4]}}],
        ["append 2: width has 4 values for 3 elements"],
    ),
    "a reference that nothing connects": (
        [{"pulse": "Q1/X180", "start": "nowhere"}],
        ["append 2: nothing connects the reference 'nowhere' to 'Start'"],
    ),
    "references that contradict each other": (
        [{"pulse": "Q1/X180"}, {"pulse": "Q1/X90", "start": "Start", "end": "ref3", "start_delay": 4e-9}],
        [
            "append 3: 'ref3' is placed twice, 4 samples apart: Start → ref3",
            ", but Start → ref3",
            "append 2)",
        ],
    ),
    "a pulse before sample 0": (
        [{"pulse": "Q1/X180", "element": 2, "start_delay": -5e-9}],
        ["append 2: in element 2 the pulse begins 5 samples before sample 0"],
    ),
    "more than full scale": (
        [{"pulse": "Q1/rabi", "element": 1, "width": 1e-7, "freq": 0.0, "kwargs": {"amplitude": 0.7}}] * 2,
        ["beyond full scale: channel 2, element 1, 0.", "of full scale", "clip: true"],
    ),
    "an element longer than the memory": (
        [{"pulse": "Q1/X180", "end_delay": 0.02}],
        ["an element lasts 20000", "the memory of a channel holds 16777216"],
    ),
    "a pulse longer than the memory": (
        [{"pulse": "Q1/rabi", "width": 1e6}],
        ["append 2: pulse 'Q1/rabi': it lasts 1e+15 samples", "the memory holds 16777216"],
    ),
    "a width that is text": (
        [{"pulse": "Q1/X180", "width": "1 us"}],
        ["append 2: width is '1 us': it must be a number of seconds"],
    ),
    "a delay without bounds": (
        [{"pulse": "Q1/X180", "start_delay": 1e300}],
        ["append 2: start_delay is 1e+300 s: it must be shorter than"],
    ),
    "a channel that is no integer": (
        [{"pulse": "Q1/X180", "channel": 1.5}],
        ["append 2: channel is 1.5: it must be an integer"],
    ),
    "an amplitude that is text": (
        [{"pulse": "Q1/X180", "kwargs": {"amplitude": "loud"}}],
        ["append 2: pulse 'Q1/X180': amplitude is the text 'loud'"],
    ),
    "an envelope that nobody knows": (
        [{"pulse": "Q1/X180", "env_func": "gausian"}],
        ["append 2: pulse 'Q1/X180': there is no envelope 'gausian'; did you mean 'gaussian'"],
    ),
    "an append that is no mapping": ([3], ["append 2: an append is a mapping, not 3"]),
    "a readout that no step demodulates": (
        [{"pulse": "Readout/R1", "element": 0, "start": "ref1"}, {"pulse": "Readout/Trigger", "element": 0}],
        ["element 1 has 1 triggers, element 0 has 2: every element needs the same number"],
    ),
}


def sequence(*appends: Any, **head: Any) -> dict[str, Any]:
    return {"format": "qtrl-sequence/1", "n_elements": 3, "appends": [*READ, *appends], **head}


def written(folder: Path, tree: Any) -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("verb", ["check", "submit"])
def test_a_mistake_is_found_before_anything_is_queued(
    mistake: str, verb: str, run: Run, spool: Spool, tmp_path: Path
) -> None:
    appends, words = MISTAKES[mistake]
    said = run(verb, written(tmp_path, sequence(*appends)))
    assert said.status == 1
    assert [word for word in words if word not in said.err] == []
    assert not spool.jobs()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"n_elements": "three"}, "n_elements is 'three'"),
        ({"n_elements": 10**12}, "n_elements is 1000000000000: it must be at most 1000000"),
        ({"x_axis": [1, 2]}, "x_axis has 2 values for 3 elements"),
        ({"nmae": "rabi"}, "a sequence has no 'nmae' (did you mean 'name'?)"),
        ({"format": "qtrl-sequence/7"}, "needs a qtrl-spool that reads qtrl-sequence/7"),
        ({"sample_rate": "1 GHz"}, "sample_rate is '1 GHz'"),
    ],
)
def test_a_wrong_head_is_found(head: Any, words: str, run: Run, spool: Spool, tmp_path: Path) -> None:
    said = run("check", written(tmp_path, sequence(**head)))
    assert said.status == 1 and words in said.err


def test_an_unknown_variable_names_file_line_path_and_near_misses(
    run: Run, spool: Spool, tmp_path: Path
) -> None:
    pulses = spool.path / "config" / "current" / "pulses.yaml"
    text = pulses.read_text().replace("Q1/amp_180", "Q1/amp_18O")
    number = next(at for at, line in enumerate(text.splitlines(), 1) if "Q1/amp_18O" in line)
    (tmp_path / "lab").mkdir()
    for each in pulses.parent.iterdir():
        (tmp_path / "lab" / each.name).write_text(text if each == pulses else each.read_text())
    assert run("init", tmp_path / "other", "--config", tmp_path / "lab").status == 0
    said = run("check", written(tmp_path, sequence({"pulse": "Q1/X180"})), "--spool", tmp_path / "other")
    assert said.status == 1
    for word in (
        "append 2: pulse 'Q1/X180'",
        f"pulses.yaml:{number}:",
        "'Q1/amp_18O'",
        "did you mean",
        "Q1/amp_180",
    ):
        assert word in said.err, word


def test_all_mistakes_of_a_sequence_come_in_one_report(run: Run, spool: Spool, tmp_path: Path) -> None:
    left_out = {"an element longer than the memory", "a readout that no step demodulates"}
    appends, expected = [], []
    for name, (some, words) in MISTAKES.items():
        if name in left_out:
            continue
        shift = len(appends)
        appends += [_moved(entry, shift) for entry in some]
        expected += [_renumbered(words[0], shift)]
    said = run("check", written(tmp_path, sequence(*appends, nmae="all")), "--json")
    (verdict,) = said.facts
    told = [f"{each['where']}: {each['message']}" for each in verdict["problems"]]
    missing = [words for words in expected if not any(words in line or words in line[6:] for line in told)]
    assert missing == []
    assert any("a sequence has no 'nmae'" in line for line in told)
    assert said.err.count("qtrl-spool: ") == len(told)


def _moved(entry: Any, shift: int) -> Any:
    """Return an append that was made to be number 2 or 3, `shift` later."""
    if isinstance(entry, dict) and entry.get("end") == "ref3":
        return {**entry, "end": f"ref{3 + shift}"}
    return entry


def _renumbered(words: str, shift: int) -> str:
    words = re.sub(r"^append (\d+)", lambda found: f"append {int(found[1]) + shift}", words)
    return words.replace("'ref3'", f"'ref{3 + shift}'").replace("→ ref3", f"→ ref{3 + shift}")


def test_check_uses_the_published_schema(
    run: Run, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtrl_spool.sequence import form

    narrower = json.loads(json.dumps(form.schema()))
    narrower["properties"]["n_elements"]["maximum"] = 2
    monkeypatch.setattr(form, "schema", lambda: narrower)
    said = run("check", written(tmp_path, sequence({"pulse": "Q1/X180"})))
    assert said.status == 1 and "3 is greater than the maximum of 2" in said.err


def test_what_would_fill_the_memory_is_refused_in_no_time(run: Run, spool: Spool, tmp_path: Path) -> None:
    path = written(tmp_path, sequence({"pulse": "Q1/rabi", "width": 1e6}))
    run("check", path)
    tracemalloc.start()
    began = time.perf_counter()
    assert run("check", path).status == 1
    took, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20 and took < 2


def test_the_limit_of_the_memory_can_be_set(run: Run, spool: Spool, job_file: Path) -> None:
    said = run("check", job_file, "--set", "dac/max_samples=1000")
    assert said.status == 1 and "the memory of a channel holds 1000" in said.err


def test_spool_submit_raises_all_problems(spool: Spool) -> None:
    seq = SequenceWrapper(3)
    seq.append("Q1/X18")
    seq.append("Q1/X180", element=9)
    seq.append(simultaneous("Readout/R1", "Readout/Trigger"), start="nowhere")
    with pytest.raises(SequenceError) as error:
        spool.submit(seq)
    assert [each.where for each in error.value.problems] == ["append 0", "append 1", "append 2"]


def test_a_server_refuses_what_would_fill_its_memory_and_goes_on(
    run: Run, shared: Spool, lab: ServerProcess, tmp_path: Path, job_file: Path
) -> None:
    path = written(tmp_path, sequence({"pulse": "Q1/rabi", "width": 1e6}, name="endless"))
    shutil.copy(path, shared.path / "incoming" / "10-urgent")
    until(lambda: shared.jobs(name="endless") and shared.jobs(name="endless")[0].done())
    (job,) = shared.jobs(name="endless")
    record = job.status()
    assert record["state"] == "failed" and "it lasts 1e+15 samples" in record["error"]["message"]
    assert run("submit", job_file, "--wait").status == 0


def test_the_compiled_sequence_of_each_bundle_is_drawn(
    run: Run, spool: Spool, tmp_path: Path, job_file: Path
) -> None:
    other = written(tmp_path, sequence({"pulse": "Q1/X180"}))
    said = run("check", job_file, other, "--plot", tmp_path / "seen.png", "--element", "1")
    assert said.status == 0
    names = ["seen-1-rabi.png", "seen-2-job.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") and name in said.err for name in names)


def test_one_bundle_is_drawn_into_the_file_that_was_named(run: Run, spool: Spool, tmp_path: Path) -> None:
    bad = written(tmp_path, sequence({"pulse": "Q1/X18"}))
    assert run("check", bad, "--plot", tmp_path / "bad.svg").status == 1
    good = written(tmp_path, sequence({"pulse": "Q1/X180"}))
    assert run("check", good, "--plot", tmp_path / "good.svg").status == 0
    assert (tmp_path / "good.svg").exists() and not (tmp_path / "bad.svg").exists()


@pytest.mark.parametrize(
    "words",
    [("--plot", "seen.txt"), ("--plot", "seen"), ("--element", "1"), ("--plot", "a.png", "--element", "9")],
)
def test_what_cannot_be_drawn_is_wrong_usage(
    words: tuple[str, ...],
    run: Run,
    spool: Spool,
    job_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("check", job_file, *words).status == 2
