"""Variables that others follow from, on the real lab's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool.config import Configuration, load_config
from qtrl_spool.errors import ConfigError, PatchError


@pytest.mark.parametrize("gone", [None, {"$delete": True}])
def test_what_a_derived_variable_follows_from_cannot_be_taken_away_from_under_it(
    lab_config: Path, gone: object
) -> None:
    default = load_config(lab_config)

    with pytest.raises(PatchError, match="Q7/mod_freq follows from it"):
        default.merged({"variables": {"Q7/freq": gone}})


def component(freq: object) -> dict[str, object]:
    """Return a component of a pulse."""
    envelope = {"type": "VirtualEnvelope", "properties": {"phase": 0.5, "width": None}}
    return {"channel": 0, "freq": freq, "envelope": envelope}


def test_a_variable_that_a_patch_spoils_is_told_once_at_the_variable() -> None:
    uses = {"P": [component("lab/tone"), component("lab/tone")]}
    default = Configuration({"variables": {"lab": {"tone": 5e9}}, "pulses": {"Q1": uses}})
    with pytest.raises(ConfigError) as caught:
        default.merged({"variables/lab/tone": "hello"})
    (problem,) = caught.value.problems
    assert str(problem) == (
        "variables/lab/tone: expected hertz, got 'hello' (it is used at 2 places, such as pulses/Q1/P/0/freq)"
    )


def test_a_variable_that_is_wrong_in_itself_is_not_told_again_for_its_uses() -> None:
    uses = {"P": [component("Q1/freq")]}
    default = Configuration({"variables": {"Q1": {"freq": 5e9}}, "pulses": {"Q1": uses}})
    with pytest.raises(ConfigError) as caught:
        default.merged({"variables/Q1/freq": "hello"})
    assert [each.where for each in caught.value.problems] == ["variables/Q1/freq"]


def test_a_name_that_a_patch_puts_in_the_wrong_place_is_told_at_that_place() -> None:
    uses = {"P": [component(5e9)]}
    default = Configuration({"variables": {"lab": {"shape": "square"}}, "pulses": {"Q1": uses}})
    with pytest.raises(ConfigError) as caught:
        default.merged({"pulses/Q1/P/0/freq": "lab/shape"})
    assert [each.where for each in caught.value.problems] == ["pulses/Q1/P/0/freq"]
