"""Who may change which paths of the default configuration, as spool.yaml says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qtrl_spool.errors import ConfigError
from qtrl_spool.spool.policy import Person, parse_policy, refusals
from qtrl_spool.spool.settings import read_settings

POLICY = parse_policy(
    {
        "variables/hardware": {"users": ["ada"], "groups": ["calibration"]},
        "variables/hardware/readout_LO": {"groups": ["readout"]},
        "devices": {},
        "adc": {"users": ["ada", "eve"]},
    },
    "spool.yaml",
)
ADA, BOB = Person("ada"), Person("bob")


def change(path: str, old: Any = 1, new: Any = 2) -> dict[str, Any]:
    return {"path": path, "old": old, "new": new}


def allowed(person: Person, *changes: dict[str, Any]) -> bool:
    return not refusals(POLICY, person, changes)


def test_a_path_of_which_nothing_is_said_is_everybodys() -> None:
    assert allowed(BOB, change("variables/Q6/freq"))


@pytest.mark.parametrize(
    ("person", "may"),
    [
        (ADA, True),
        (BOB, False),
        (Person("bob", frozenset({"calibration"})), True),
        (Person("bob", frozenset({"readout"})), False),
        (Person("bob", is_admin=True), True),
    ],
)
def test_users_groups_and_admins_may(person: Person, may: bool) -> None:
    assert allowed(person, change("variables/hardware/qubit_LO")) is may


def test_the_longest_path_counts() -> None:
    assert not allowed(ADA, change("variables/hardware/readout_LO"))
    assert allowed(Person("bob", frozenset({"readout"})), change("variables/hardware/readout_LO"))


def test_a_path_is_not_held_by_one_that_only_begins_alike() -> None:
    assert allowed(BOB, change("variables/hardware_of_bob"))


def test_a_rule_without_names_is_for_admins_only() -> None:
    assert not allowed(ADA, change("devices/LOs/drive/settings/frequency"))


def test_whoever_takes_out_a_mapping_needs_what_every_path_below_it_needs() -> None:
    whole = {"path": "variables", "old": {"Q6": {"freq": 1}, "hardware": {"qubit_LO": 5e9}}}
    assert not allowed(BOB, whole)


def test_whoever_puts_in_a_mapping_needs_what_every_path_below_it_needs() -> None:
    assert not allowed(ADA, {"path": "variables", "new": {"hardware": {"readout_LO": 5e9}}})


def test_the_star_is_for_all_that_has_no_rule() -> None:
    policy = parse_policy({"*": {"users": ["ada"]}, "variables": {"users": ["bob"]}}, "spool.yaml")
    told = [str(each) for each in refusals(policy, BOB, [change("variables/x"), change("dac/clock_delay")])]
    assert len(told) == 1 and told[0].startswith(
        "dac/clock_delay: bob may not change it: all that has no rule"
    )


def test_a_refusal_names_path_user_rule_and_remedy() -> None:
    (refusal,) = refusals(POLICY, BOB, [change("variables/hardware/qubit_LO")])
    assert str(refusal) == (
        "variables/hardware/qubit_LO: bob may not change it: variables/hardware is for user ada and "
        "group calibration (ask one of them, or an admin; spool.yaml says so under policy)"
    )


def test_every_refused_path_is_told() -> None:
    changes = [change("adc/x"), change("variables/Q6/freq"), change("devices/y")]
    assert [each.where for each in refusals(POLICY, BOB, changes)] == ["adc/x", "devices/y"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("policy: {devices: {group: [lab]}}", "did you mean 'groups'"),
        ("policy: {devices: {groups: lab}}", "list of names"),
        ("policy: {devices: lab}", "a rule is a mapping"),
        ("policy: [devices]", "mapping of paths"),
        ("polices: {}", "did you mean 'policy'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "spool.yaml").write_text(f"format: qtrl-spool/1\n{text}\n")
    with pytest.raises(ConfigError, match=says):
        read_settings(tmp_path / "spool.yaml")


def test_spool_yaml_holds_the_policy(tmp_path: Path) -> None:
    text = "format: qtrl-spool/1\npolicy:\n  variables/hardware: {groups: [calibration]}\n"
    (tmp_path / "spool.yaml").write_text(text)
    assert refusals(read_settings(tmp_path / "spool.yaml").policy, BOB, [change("variables/hardware/x")])
