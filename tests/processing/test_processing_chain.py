"""Chains as configurations write them: order, names, what is refused and what is left out."""

from __future__ import annotations

import pytest

from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import chain_steps, readout_labels, readout_order, warnings


def step(adc, category, name):
    return adc["processing"][category][name]


def test_the_names_of_the_lab_s_steps_sort_them_whatever_the_order_in_the_file(lab_adc):
    names = [entry.name.split("/")[1] for entry in chain_steps(lab_adc)]
    assert names == [
        "00_heterodyne", "02_rotate_IQ", "055_GMM", "058_herald_select", "05_readout_select",
        "06_heralding", "06_heralding_heterodyne", "07_average_ensemble", "08_readout_corr",
        "09_correction_selection", "00_exp_fit", "10_exp_sin_fit", "20_cos_fit", "save_config",
    ]  # fmt: skip


def test_b26_eval_steps_are_left_out_with_one_warning_that_names_them(lab_adc):
    (sentence,) = warnings(lab_adc)
    assert "00_simple_readout/30_start_DAC" in sentence
    assert not any(entry.type == "Eval" for entry in chain_steps(lab_adc))


def test_a_chain_without_eval_steps_has_no_warnings(adc):
    assert warnings(adc) == ()


def test_a_disabled_category_and_a_disabled_step_do_not_run(adc):
    adc["processing"]["05_advanced_readout"]["enable"] = False
    step(adc, "00_simple_readout", "02_rotate_IQ")["enable"] = False
    assert [entry.type for entry in chain_steps(adc)] == [
        "Heterodyne", "GMM", "AxisTriggerSelector", "AxisTriggerSelector",
    ]  # fmt: skip


def test_an_unknown_type_is_refused_with_the_step_and_a_near_miss(adc):
    step(adc, "00_simple_readout", "02_rotate_IQ")["type"] = "IQRotate"
    with pytest.raises(ProcessingError, match=r"02_rotate_IQ.*'IQRotate'.*did you mean 'IQRotation'"):
        chain_steps(adc)


def test_an_unknown_parameter_is_refused_with_the_step_and_a_near_miss(adc):
    step(adc, "00_simple_readout", "02_rotate_IQ")["kwargs"]["angels"] = [1.0, 2.0]
    with pytest.raises(ProcessingError, match=r"02_rotate_IQ.*'angels'.*did you mean 'angles'"):
        chain_steps(adc)


def test_a_missing_parameter_is_refused_with_the_step(adc):
    del step(adc, "05_advanced_readout", "08_readout_corr")["kwargs"]["corr_matrix"]
    with pytest.raises(ProcessingError, match=r"08_readout_corr.*needs the parameter 'corr_matrix'"):
        chain_steps(adc)


def test_an_unknown_key_beside_type_and_kwargs_is_refused(adc):
    step(adc, "00_simple_readout", "02_rotate_IQ")["enabled"] = True
    with pytest.raises(ProcessingError, match=r"'enabled'.*did you mean 'enable'"):
        chain_steps(adc)


def test_a_configuration_without_processing_has_no_steps():
    assert chain_steps({"acquisition_settings": {}}) == ()


def test_readouts_come_in_the_order_of_the_configuration(lab_adc):
    assert readout_labels(lab_adc) == ("R5", "R6", "R7", "R0")
    assert readout_order(lab_adc, {"R0", "R6"}) == ("R6", "R0")


def test_a_readout_that_the_chain_does_not_demodulate_is_refused_by_name(lab_adc):
    with pytest.raises(ProcessingError, match="reads R1"):
        readout_order(lab_adc, ["R6", "R1"])
