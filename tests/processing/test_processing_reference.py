"""The reference page names what there is."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from qtrl_spool.processing.models import MODELS
from qtrl_spool.processing.steps import STEPS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "processing.md").read_text("utf-8")


@pytest.mark.parametrize("step", STEPS)
def test_every_step_and_every_parameter_of_it_is_on_the_page(step):
    _, *parameters = inspect.signature(STEPS[step]).parameters.values()
    named = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
    assert step in PAGE
    assert [name for name in named if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_fit_and_every_parameter_of_it_is_on_the_page(kind):
    assert f"`{kind}`" in PAGE
    assert [name for name in MODELS[kind].units if name not in PAGE] == []
