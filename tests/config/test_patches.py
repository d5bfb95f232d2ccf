"""Patches laid over each other, and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qtrl_spool.config.merge import merged
from qtrl_spool.config.patches import json_spelling, stacked
from qtrl_spool.errors import ConfigError


def test_the_upper_patch_replaces_values_and_keeps_their_neighbours() -> None:
    below = {"variables": {"Q6": {"freq": 5.4e9, "t1": 2e-5}}}
    assert stacked(below, {"variables/Q6/freq": 5.5e9}) == {"variables": {"Q6": {"freq": 5.5e9, "t1": 2e-5}}}


def test_stacking_is_merging_one_after_the_other() -> None:
    default = {"variables": {"Q6": {"freq": 1.0, "list": [1, 2, 3]}, "Q7": {"freq": 2.0}}}
    below, above = {"variables/Q6/list/1": 9, "variables/Q7": {"$delete": True}}, {"variables/Q6/freq": 3.0}
    assert merged(default, stacked(below, above)) == merged(merged(default, below), above)


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ({"variables/Q9": {"$new": {"freq": 1.0, "t1": 2.0}}}, {"variables/Q9/freq": 3.0}),
        ({"variables/Q6": {"$replace": {"freq": 1.0}}}, {"variables/Q6/freq": 3.0}),
        ({"variables/Q6/list": [7, 8]}, {"variables/Q6/list/1": 9}),
    ],
)
def test_stacking_onto_what_is_put_in_as_a_whole_is_merging_one_after_the_other(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    default = {"variables": {"Q6": {"freq": 1.0, "list": [1, 2, 3]}}}
    assert merged(default, stacked(below, above)) == merged(merged(default, below), above)


def test_neither_patch_changes() -> None:
    below, above = {"a": {"b": 1}}, {"a": {"b": 2}}
    stacked(below, above)
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"b": 2}})


def test_marks_survive_the_way_through_json() -> None:
    patch = "variables: {Q6: {a: !new 1.5, b: !delete , c: !replace {d: 1}}}\n"
    default = {"variables": {"Q6": {"b": 2, "c": 3}}}
    from qtrl_spool.config.merge import parse_patch

    spelled = json.loads(json.dumps(json_spelling(parse_patch(patch))))
    assert merged(default, spelled) == merged(default, parse_patch(patch))


def test_what_is_no_patch_is_refused() -> None:
    with pytest.raises(ConfigError):
        stacked({"a/b": 1, "a": {"b": 2}}, {"c": 1})
