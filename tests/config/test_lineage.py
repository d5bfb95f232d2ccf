"""Where a value comes from: version, patch, variable, derivation, and who made it so."""

from __future__ import annotations

from typing import Any

import pytest

from qtrl_spool.config import Configuration
from qtrl_spool.config.lineage import origins
from qtrl_spool.errors import UnknownPathError

VARIABLES = """\
Q1: {freq: 5.4e9, amp: 0.25, shape: {name: DRAG, sigmas: 3}}
hardware: {qubit_LO: 5.5e9}
"""
PULSES = """\
Q1:
  180:
  - channel: 5
    freq: Q1/mod_freq
    envelope: {type: PulseEnvelope, properties: {env_func: Q1/shape/name, width: 30 ns}}
"""
LOG: tuple[dict[str, Any], ...] = (
    {"version": 1, "who": "ada", "when": "T1", "why": "the first", "changes": []},
    {
        "version": 2,
        "who": "bob",
        "when": "T2",
        "why": "fit",
        "job": "j1",
        "changes": [{"path": "variables/Q1/amp", "old": 0.2, "new": 0.25}],
    },
    {"version": None, "when": "T3", "refused": "no"},
    {"version": 3, "who": "eve", "when": "T4", "why": "LO", "changes": [{"path": "variables/hardware"}]},
)


def default() -> Configuration:
    return Configuration.from_texts({"Variables.yaml": VARIABLES, "Pulses.yaml": PULSES}, version=3)


def lines(configuration: Configuration, path: str) -> list[str]:
    return [line for each in origins(configuration, path, LOG) for line in each.lines()]


def test_a_value_of_a_pulse_is_followed_to_the_variables_it_is_derived_from() -> None:
    job = default().merged({"variables/Q1/freq": 5.5e9}).merged({"variables/Q1/amp": 0.3})
    assert lines(job, "pulses/Q1/180/0/freq") == [
        "pulses/Q1/180/0/freq = 0.0: the variable Q1/mod_freq",
        "  variables/Q1/mod_freq = 0.0: derived, Q1/freq - hardware/qubit_LO",
        "    variables/Q1/freq = 5500000000.0: the patch",
        "    variables/hardware/qubit_LO = 5500000000.0: the default at version 3, "
        "since version 3 by eve (LO), Variables.yaml:2:22",
    ]


def test_a_value_knows_the_version_the_person_and_the_job_that_found_it() -> None:
    assert lines(default(), "variables/Q1/amp") == [
        "variables/Q1/amp = 0.25: the default at version 3, since version 2 by bob (fit), found by job j1, "
        "Variables.yaml:1:24"
    ]


def test_a_value_that_nobody_changed_is_of_the_first_version() -> None:
    assert "since version 1 by ada (the first)" in lines(default(), "variables/Q1/freq")[0]


def test_a_later_version_does_not_count_for_an_earlier_one() -> None:
    assert "since version 1 by ada" in lines(default().at_version(2), "variables/hardware/qubit_LO")[0]


def test_a_place_in_the_text_of_a_patch_is_told() -> None:
    from qtrl_spool.config import parse_patch

    job = default().merged(parse_patch("variables:\n  Q1: {freq: 5.5e9}\n", "config.yaml"))
    assert lines(job, "variables/Q1/freq")[0].endswith(": the patch, config.yaml:2:14")


def test_a_mapping_is_told_value_by_value() -> None:
    told = [each.path for each in origins(default(), "variables/Q1")]
    assert told[:2] == ["variables/Q1/freq", "variables/Q1/amp"] and "variables/Q1/shape/name" in told


def test_a_record_is_plain_data() -> None:
    (origin,) = origins(default(), "variables/Q1/mod_freq", LOG)
    record = origin.record()
    assert (record["from"], record["formula"]) == ("derived", "Q1/freq - hardware/qubit_LO")
    assert [each["path"] for each in record["sources"]] == [
        "variables/Q1/freq",
        "variables/hardware/qubit_LO",
    ]
    assert record["sources"][1]["since"]["who"] == "eve"


def test_a_path_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownPathError, match="freq"):
        origins(default(), "variables/Q1/frq")
