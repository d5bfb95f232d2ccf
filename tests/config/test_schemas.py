"""The schemas say what the program reads, and say it to editors too."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from qtrl_spool.config import load_config
from qtrl_spool.config.schemas import ENVELOPES, STEPS, json_schemas


def test_the_envelopes_named_here_are_those_that_can_be_played() -> None:
    envelopes = pytest.importorskip("qtrl_spool.sequence.envelopes")
    assert set(ENVELOPES) == set(envelopes.SHAPES)


def test_the_steps_named_here_are_those_that_are_run() -> None:
    steps = pytest.importorskip("qtrl_spool.processing.steps")
    assert set(STEPS) == {*steps.STEPS, "Eval"}


@pytest.mark.parametrize("name", json_schemas())
def test_each_json_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schemas()[name])


@pytest.mark.parametrize("name", ["variables", "adc", "dac", "devices", "pulses"])
def test_the_lab_is_right_by_the_json_schemas_too(lab_config: Path, name: str) -> None:
    document = json.loads(json.dumps(load_config(lab_config).documents[name]))
    jsonschema.Draft202012Validator(json_schemas()[name]).validate(document)


def test_an_editor_is_told_of_a_misspelt_key() -> None:
    pulses = {"Q1": {"180": {"channel": 1, "subchanel": 0, "envelope": {"type": "PulseEnvelope"}}}}
    assert not jsonschema.Draft202012Validator(json_schemas()["pulses"]).is_valid(pulses)
