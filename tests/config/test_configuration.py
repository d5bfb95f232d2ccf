"""A configuration: names replaced, variables derived, problems with their places, jobs that do not meet."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtrl_spool.config import AcquisitionSettings, Configuration, load_config
from qtrl_spool.config.load import read_texts
from qtrl_spool.config.merge import parse_patch
from qtrl_spool.config.tree import leaves
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import ConfigError, NotFoundError, PatchError, UnknownPathError

VARIABLES = """\
Q1:
  freq: 5.4e9        # Hz
  anharmonicity: -270 MHz
  res_freq: 6.6 GHz
  amp: 0.25
  shape: DRAG
  mod_freq: 1.0
common:
  width: 30 ns
  ZZ:
    56: 176000
hardware: {qubit_LO: 5.5e9, readout_LO: 6.5e9}
"""
PULSES = """\
Q1:
  180:
  - channel: 5
    envelope:
      type: PulseEnvelope
      properties: !!omap
      - env_func: Q1/shape
      - kwargs: {amplitude: [Q1/amp, 0.5], phase: 90 deg}
      - width: common/width
    freq: Q1/mod_freq
    subchannel: 0
  90:
    channel: 5
    envelope: {type: VirtualEnvelope, properties: {phase: 0.5, width: null}}
    freq: Q1/mod_freq_ef
"""
ADC = """\
acquisition_settings: {n_reps: 500, n_batches: 2, n_triggers: 2, points: 1024, keep_raw: false}
hardware_settings: {sample_rate: 1 GHz}
processing:
  00_all:
    enable: true
    00_het: {enable: true, type: Heterodyne, kwargs: {freq_labels: [1], frequencies: [Q1/res_mod_freq]}}
"""
COMPONENT = "pulses/Q1/180/0"


def texts(**changes: tuple[str, str]) -> dict[str, str]:
    files = {"Variables.yaml": VARIABLES, "pulses.YAML": PULSES, "ADC.yml": ADC}
    for name, (old, new) in changes.items():
        file = next(each for each in files if each.casefold().startswith(name))
        assert old in files[file]
        files[file] = files[file].replace(old, new, 1)
    return files


def configuration(**changes: tuple[str, str]) -> Configuration:
    return Configuration.from_texts(texts(**changes))


def refused(**changes: tuple[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        configuration(**changes)
    return caught.value


def patch_refused(patch: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        configuration().merged(patch)
    return caught.value


def test_documents_are_named_by_their_files_in_any_case() -> None:
    assert set(configuration().documents) == {"variables", "pulses", "adc"}


def test_two_files_for_one_document_are_refused() -> None:
    with pytest.raises(ConfigError, match="same document"):
        Configuration.from_texts({"DAC.yaml": "", "dac.yml": ""})


def test_a_name_is_replaced_by_its_variable_also_inside_a_list() -> None:
    assert configuration()[f"{COMPONENT}/envelope/properties/kwargs/amplitude"] == [0.25, 0.5]


def test_what_is_written_stays_beside_what_counts() -> None:
    cfg = configuration()
    assert (cfg.documents["pulses"]["Q1/180/0/freq"], cfg[f"{COMPONENT}/freq"]) == ("Q1/mod_freq", -1e8)


def test_derived_variables_are_made_whatever_the_file_says() -> None:
    group = configuration().variables["Q1"]
    assert (group["mod_freq"], group["mod_freq_ef"], group["res_mod_freq"]) == (-1e8, -3.7e8, 1e8)


def test_without_the_oscillators_nothing_is_derived() -> None:
    cfg = configuration(variables=("hardware: {qubit_LO: 5.5e9, readout_LO: 6.5e9}", "hardware: {}"))
    assert cfg["variables/Q1/mod_freq"] == 1.0 and "variables/Q1/res_mod_freq" not in cfg


def test_a_variable_that_is_a_name_is_not_followed() -> None:
    cfg = configuration(variables=("shape: DRAG", "shape: Q1/other"))
    assert cfg[f"{COMPONENT}/envelope/properties/env_func"] == "Q1/other"


def test_names_that_go_in_a_circle_are_refused() -> None:
    error = refused(variables=("shape: DRAG", "shape: Q1/round\n  round: Q1/shape"))
    assert "circle" in error.message and "Q1/round" in error.message


def test_a_block_of_own_variables_takes_the_place_of_the_variables() -> None:
    files = {**texts(), "lab.yaml": "Variables: {lab: 7}\nextra: [lab, Q1/amp]\n"}
    assert Configuration.from_texts(files)["lab"] == {"extra": [7, "Q1/amp"]}


def test_a_subtree_may_be_inserted() -> None:
    cfg = configuration(adc=("processing:", "lab: common/ZZ\nprocessing:"))
    assert cfg["adc/lab"] == {56: 176000}


@pytest.mark.parametrize("path", ["variables/common/ZZ/56", "variables/common/ZZ/56/"])
def test_b18_a_whole_number_key_is_reached_by_path(path: str) -> None:
    assert configuration()[path] == 176000


def test_a_path_that_is_not_there_is_a_key_error_with_a_near_miss() -> None:
    with pytest.raises(UnknownPathError, match=r"did you mean 'freq'") as caught:
        configuration()["variables/Q1/frq"]
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize("path", ["variables/Q1/frq", "variables/Q1/freq/more", "nothing", ""])
def test_b18_get_of_what_is_not_there_gives_the_default(path: str) -> None:
    assert configuration().get(path, 7) == (7 if path else configuration().get(""))


def test_units_are_read_where_they_are_expected() -> None:
    cfg = configuration()
    properties = cfg[f"{COMPONENT}/envelope/properties"]
    assert properties["width"] == 3e-8 and properties["kwargs"]["phase"] == pytest.approx(1.5707963267948966)
    assert cfg["adc/hardware_settings/sample_rate"] == 1e9 and cfg["variables/Q1/res_freq"] == 6.6e9


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30 ns", 3e-8),
        ("5.41 GHz", 5.41e9),
        ("30ns", 3e-8),
        ("1.5e1 us", 1.5e-5),
        ("0.1 µs", 1e-7),
        ("-3 MHz", -3e6),
    ],
)
def test_a_unit_moves_the_decimal_point_exactly(text: str, value: float) -> None:
    assert configuration(variables=("common:", f"common:\n  some: {text}"))["variables/common/some"] == value


def test_a_wrong_dimension_is_an_error_with_its_place() -> None:
    error = refused(pulses=("width: common/width", "width: 5 MHz"))
    assert error.where == "pulses.YAML:9:16: pulses/Q1/180/0/envelope/properties/width"
    assert error.message == "expected seconds, got '5 MHz', which is hertz"


def test_a_variable_of_the_wrong_dimension_is_an_error_where_it_is_used() -> None:
    assert "which is seconds" in refused(pulses=("freq: Q1/mod_freq\n", "freq: common/width\n")).message


def test_an_error_shows_its_line_with_a_caret() -> None:
    assert refused(pulses=("width: common/width", "width: fast")).report() == (
        "pulses.YAML:9:16: pulses/Q1/180/0/envelope/properties/width: expected seconds, got 'fast'\n"
        "          - width: fast\n"
        "                   ^"
    )


WRONG = {
    "a number": ("adc", ("n_reps: 500", "n_reps: many"), "ADC.yml:1:32", "a whole number, got 'many'"),
    "a bound": ("adc", ("n_reps: 500", "n_reps: 0"), "ADC.yml:1:32", "from 1, got 0"),
    "a flag": ("adc", ("keep_raw: false", "keep_raw: no"), "ADC.yml", "expected true or false, got 'no'"),
    "a key": ("adc", ("n_batches", "n_bathces"), "ADC.yml", "did you mean 'n_batches'"),
    "a step's key": ("adc", ("{enable: true", "{enabel: true"), "ADC.yml", "did you mean 'enable'"),
    "a step's type": ("adc", ("Heterodyne", "Hetrodyne"), "ADC.yml", "did you mean 'Heterodyne'"),
    "an envelope": ("pulses", ("VirtualEnvelope", "VirtualEnv"), "pulses", "mean 'VirtualEnvelope'"),
    "a shape": ("variables", ("DRAG", "DRAC"), "pulses.YAML:7:19", "did you mean 'DRAG'"),
    "a component": ("pulses", ("subchannel", "subchanel"), "pulses.YAML:11:5", "mean 'subchannel'"),
    "a missing key": ("pulses", ("env_func", "envfunc"), "pulses", "did you mean 'env_func'"),
    "a parameter": ("pulses", ("amplitude:", "amplitud:"), "pulses", "did you mean 'amplitude'"),
    "a channel": ("pulses", ("channel: 5", "channel: 5.5"), "pulses", "expected a whole number, got 5.5"),
    "no pulse": ("pulses", ("Q1:\n", "Q2: 7\nQ1:\n"), "pulses.YAML:1:5", "expected a pulse"),
    "a frequency": ("variables", ("5.4e9", "none"), "Variables.yaml:2:9", "expected hertz, got 'none'"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_the_program_reads_is_checked_with_place_and_remedy(what: str) -> None:
    document, change, where, message = WRONG[what]
    error = refused(**{document: change})
    assert where in error.report() and message in error.report()


def test_all_problems_of_all_files_are_told_at_once() -> None:
    error = refused(adc=("n_reps: 500", "n_reps: 0"), pulses=("width: common/width", "width: fast"))
    assert len(error.problems) == 2


def test_what_the_lab_keeps_for_itself_is_left_alone() -> None:
    cfg = configuration(
        variables=("Q1:\n", "Notes: {by: ada, list: [1, x], none: null}\nQ1:\n  colour: red\n")
    )
    assert cfg["variables/Q1/colour"] == "red"


def test_b14_a_name_that_stands_for_nothing_is_a_warning_with_place_and_near_misses() -> None:
    (warning,) = configuration(pulses=("Q1/amp,", "Q1/amq,")).warnings
    assert warning.startswith("pulses.YAML:8:30: pulses/Q1/180/0/envelope/properties/kwargs/amplitude/0:")
    assert "'Q1/amq'" in warning and "did you mean 'Q1/amp'" in warning


def test_a_configuration_in_order_has_no_warnings() -> None:
    assert configuration().warnings == ()


def test_a_patch_moves_everything_that_follows_from_it() -> None:
    cfg = configuration().merged({"variables/Q1/freq": 5.41e9})
    assert cfg["variables/Q1/mod_freq"] == pytest.approx(-9e7) and cfg[f"{COMPONENT}/freq"] == pytest.approx(
        -9e7
    )
    assert cfg["pulses/Q1/90/freq"] == pytest.approx(-3.6e8)


def test_a_patch_of_the_oscillator_moves_every_qubit() -> None:
    assert configuration().merged({"variables/hardware/qubit_LO": 5.3e9})[
        f"{COMPONENT}/freq"
    ] == pytest.approx(1e8)


def test_a_patch_may_add_a_variable_and_use_it() -> None:
    cfg = configuration().merged(
        {"variables/Q1/fast": {"$new": "10 ns"}, "pulses/Q1/180/0/freq": "Q1/mod_freq_ef"}
    )
    assert (cfg["variables/Q1/fast"], cfg[f"{COMPONENT}/freq"]) == (1e-8, -3.7e8)


def test_a_new_variable_is_found_by_names_that_stood_for_nothing() -> None:
    default = configuration(pulses=("Q1/amp,", "Q1/later,"))
    cfg = default.merged({"variables/Q1/later": {"$new": 0.125}})
    assert cfg[f"{COMPONENT}/envelope/properties/kwargs/amplitude"] == [0.125, 0.5] and cfg.warnings == ()


def test_b11_the_default_is_untouched_by_any_number_of_jobs() -> None:
    default = configuration()
    before = default.dump(), default.sha256, copy.deepcopy(default.effective["pulses"])
    for n in range(20):
        default.merged(
            {"variables/Q1/freq": 5.4e9 + n, "variables/common/width": "40 ns", "adc/processing": {}}
        )
    assert (default.dump(), default.sha256, default.effective["pulses"]) == before


def test_two_jobs_do_not_see_each_others_values() -> None:
    default = configuration()
    one, other = default.merged({"variables/Q1/amp": 0.1}), default.merged({"variables/Q1/freq": 5e9})
    assert (
        one["variables/Q1/freq"] == 5.4e9
        and other[f"{COMPONENT}/envelope/properties/kwargs/amplitude/0"] == 0.25
    )


def test_b26_values_that_are_handed_out_cannot_be_changed() -> None:
    cfg = configuration()
    with pytest.raises(TypeError):
        cfg.variables["Q1"]["freq"] = 1
    with pytest.raises(TypeError):
        cfg[f"{COMPONENT}/envelope/properties/kwargs/amplitude"].append(3)


def test_a_deep_copy_is_plain_and_may_be_changed() -> None:
    mine = copy.deepcopy(configuration().variables)
    mine["Q1"]["freq"] = 1
    assert type(mine) is dict and type(mine["Q1"]) is dict


def test_a_derived_variable_is_not_patched_and_the_error_says_what_to_set() -> None:
    error = patch_refused(parse_patch("variables: {Q1/mod_freq: 3}", "job.yaml"))
    assert isinstance(error, PatchError) and str(error.where).startswith("job.yaml:1:")
    assert "Q1/freq - hardware/qubit_LO" in error.message and "set variables/Q1/freq" in str(error.hint)


def test_a_derived_variable_is_not_slipped_in_with_a_whole_new_group() -> None:
    group = {"freq": 5e9, "anharmonicity": -3e8, "mod_freq": 123.0}
    assert "derived" in patch_refused({"variables/Q9": {"$new": group}}).message


def test_a_whole_new_group_with_the_value_that_follows_is_accepted() -> None:
    group = {"freq": 5e9, "anharmonicity": -3e8, "mod_freq": -5e8}
    assert configuration().merged({"variables/Q9": {"$new": group}})["variables/Q9/mod_freq"] == -5e8


@pytest.mark.parametrize(
    "patch",
    [
        {"variables/Q1/freq": "5.4 ns"},
        {"variables/common/width": "fast"},
        {f"{COMPONENT}/freq": "Q1/mod_frq"},
        {f"{COMPONENT}/channel": -1},
        {"adc/acquisition_settings/n_reps": None},
        {"variables": 5},
        {"variables": {"$replace": 5}},
        {"pulses": {"$replace": []}},
        {"variables/Q1/shape": "DRAC"},
    ],
)
def test_a_patch_with_a_value_that_its_place_does_not_allow_is_refused(patch: dict[str, Any]) -> None:
    assert patch_refused(patch).message


def test_an_error_in_a_patch_points_at_the_patch() -> None:
    error = patch_refused(parse_patch("adc:\n  acquisition_settings:\n    n_reps: many\n", "job.yaml"))
    assert str(error.where).startswith("job.yaml:3:13")


@pytest.mark.parametrize(
    ("patch", "where", "line"),
    [
        ("variables:\n  Q1: {frq: 5e9}\n", "config.yaml:2:8: variables/Q1/frq", "  Q1: {frq: 5e9}"),
        ("variables:\n  Q1/mod_freq: 5\n", "config.yaml:2:3: variables/Q1/mod_freq", "  Q1/mod_freq: 5"),
        ("adc/processing: fast\n", "config.yaml:1:1: adc/processing", "adc/processing: fast"),
        (
            "pulses: {Q1/90/envelope/properties: {phase: 3 ns}}\n",
            "config.yaml:1:45: pulses/Q1/90/envelope/properties/phase",
            "pulses: {Q1/90/envelope/properties: {phase: 3 ns}}",
        ),
    ],
)
def test_an_error_in_a_patch_shows_its_line_with_a_caret(patch: str, where: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration().merged(parse_patch(patch, "config.yaml"))
    column = int(where.split(":")[2])
    assert caught.value.where == where
    assert caught.value.excerpt == f"    {line}\n    {' ' * (column - 1)}^"


def test_a_derived_variable_is_told_together_with_all_other_problems_and_only_once() -> None:
    with pytest.raises(PatchError) as caught:
        configuration(variables=("  mod_freq: 1.0\n", "")).merged(
            {"variables": {"Q1": {"mod_freq": 1.0, "frq": 5e9}}}
        )
    assert [each.where for each in caught.value.problems] == ["variables/Q1/mod_freq", "variables/Q1/frq"]


def test_b11_a_misspelt_key_does_not_hide_wrong_values_beside_it() -> None:
    patch = (
        "variables: {Q1: {frq: 1, freq: fast, mod_freq: 2}}\nadc: {hardware_settings: {sample_rate: 3 ns}}\n"
    )
    with pytest.raises(PatchError) as caught:
        configuration().merged(parse_patch(patch, "config.yaml"))
    told = {str(each.where).rpartition(": ")[2]: each.excerpt for each in caught.value.problems}
    assert sorted(told) == [
        "adc/hardware_settings/sample_rate",
        "variables/Q1/freq",
        "variables/Q1/frq",
        "variables/Q1/mod_freq",
    ]
    assert all(told.values())


def test_the_digest_of_a_job_does_not_depend_on_what_was_merged_before() -> None:
    job = configuration().merged({"variables/Q1/freq": 5.41e9}).merged({"adc/hardware_settings": {}})
    assert job.sha256 == Configuration(job.documents).sha256


def test_an_error_in_a_patch_without_text_does_not_point_at_the_default() -> None:
    assert patch_refused({f"{COMPONENT}/channel": -1}).where == f"{COMPONENT}/channel"


def test_the_digest_is_of_the_values_not_of_the_layout() -> None:
    assert configuration().sha256 == configuration(variables=("        # Hz", "")).sha256
    assert configuration().sha256 != configuration(variables=("5.4e9", "5.5e9")).sha256


def test_the_dump_is_read_by_every_yaml_reader_as_what_counts() -> None:
    cfg = configuration(variables=("amp: 0.25", "amp: 0.25\n  flag: on\n  word: '1e9'\n  tiny: 1e-12"))
    expected = json.loads(json.dumps(cfg.effective["variables"]))
    found = yaml.safe_load(cfg.dump())["variables"]
    assert json.loads(json.dumps(found)) == expected


def test_the_dump_is_the_same_configuration_again(lab_config: Path) -> None:
    cfg = load_config(lab_config).merged({"variables/Q6/freq": "5.41 GHz"})
    again = Configuration(parse_yaml(cfg.dump(), "effective.yaml"))
    assert dict(again.effective) == dict(cfg.effective)


def test_a_patch_through_the_name_of_a_variable_says_where_to_patch(lab_config: Path) -> None:
    path = "adc/processing/05_advanced_readout/08_readout_corr/kwargs/corr_matrix/0/0"
    with pytest.raises(PatchError, match="patch variables/readout/corr_matrix"):
        load_config(lab_config).merged({path: 1.0})


def test_a_second_key_of_almost_the_same_name_is_the_labs_own() -> None:
    own = "hardware: {qubit_LO_2: 5.6e9, qubit_LO: 5.5e9, readout_LO: 6.5e9}"
    cfg = configuration(variables=("hardware: {qubit_LO: 5.5e9, readout_LO: 6.5e9}", own))
    assert cfg["variables/hardware/qubit_LO_2"] == 5.6e9


def test_a_misspelt_oscillator_is_refused() -> None:
    assert "did you mean 'qubit_LO'" in refused(variables=("{qubit_LO:", "{qubit_L0:")).report()


def test_the_settings_of_an_acquisition_come_from_the_adc() -> None:
    found = AcquisitionSettings.of(configuration(), n_elements=51, n_triggers=1)
    assert found == AcquisitionSettings(
        n_reps=500, n_batches=2, n_elements=51, n_triggers=1, points=1024, keep_raw=False, sample_rate=1e9
    )


@pytest.mark.parametrize(("said", "means"), [("none", None), ("gzip", "gzip")])
def test_the_big_data_of_a_result_may_be_compressed(said: str, means: str | None) -> None:
    patch = {"adc": {"acquisition_settings": {"compression": {"$new": said}}}}
    settings = AcquisitionSettings.of(configuration().merged(patch), n_elements=1, n_triggers=1)
    assert settings.compression == means


def test_a_compression_that_there_is_not_is_refused_with_those_there_are() -> None:
    patch = {"adc": {"acquisition_settings": {"compression": {"$new": "zip"}}}}
    with pytest.raises(ConfigError, match="gzip"):
        configuration().merged(patch)


@pytest.mark.parametrize("n_triggers", [None, 0])
def test_without_triggers_in_the_sequence_the_configuration_counts_them(n_triggers: int | None) -> None:
    assert AcquisitionSettings.of(configuration(), n_elements=1, n_triggers=n_triggers).n_triggers == 2


def test_a_job_that_asks_for_other_triggers_than_its_sequence_has_is_refused() -> None:
    cfg = configuration().merged({"adc/acquisition_settings/n_triggers": 3})
    with pytest.raises(ConfigError, match="has 1 triggers"):
        AcquisitionSettings.of(cfg, n_elements=1, n_triggers=1)


def test_a_folder_without_documents_is_not_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_config(tmp_path)


def test_backups_and_hidden_files_are_no_documents(tmp_path: Path) -> None:
    for name in ("DAC.yaml", ".DAC.yaml.swp", "DAC.yaml~", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text("clock_delay: 5\n")
    assert list(load_config(tmp_path).documents) == ["dac"]


def test_a_file_that_is_no_text_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "DAC.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"DAC\.yaml:2: is not text"):
        load_config(tmp_path)


def test_the_real_lab_configuration_loads_as_it_is(lab_config: Path) -> None:
    cfg = load_config(lab_config)
    assert cfg["variables/Q6/mod_freq"] == -86243261.0
    assert cfg["pulses/Q6/180/0/envelope/properties/width"] == 3e-8
    assert cfg["variables/common/ZZ/56"] == 176000


def test_the_real_lab_configuration_warns_of_each_unresolved_name_once(lab_config: Path) -> None:
    warnings = load_config(lab_config).warnings
    assert len(warnings) == 9 and all("_ef'" in each and each.startswith("Pulses.yaml:") for each in warnings)


def test_the_reference_configuration_loads(reference_config: Path) -> None:
    assert load_config(reference_config).pulses["Q6/X180"]


def test_the_pulses_of_a_job_hold_its_values(lab_config: Path) -> None:
    cfg = load_config(lab_config).merged({"variables/Q6/freq": 5.41e9})
    assert {part.freq for part in cfg.pulses["Q6/X180"]} == {-9e7}


lab_values = st.sampled_from(
    [0, 1, -1, 0.5, 5.41e9, "30 ns", "5 GHz", "fast", "Q6/freq", "Q6/mod_freq", None, True]
)
wild = (
    lab_values
    | st.lists(lab_values, max_size=2)
    | st.dictionaries(st.sampled_from(["freq", "x"]), lab_values)
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_fuzzed_patch_of_the_lab_is_applied_as_the_plain_way_does_or_refused(
    lab_config: Path, data: st.DataObject
) -> None:
    default = _lab(lab_config)
    known = [
        f"{name}/{'/'.join(map(str, path))}"
        for name, tree in default.documents.items()
        for path, _ in leaves(tree)
    ]
    patch = data.draw(st.dictionaries(st.sampled_from(known), wild, min_size=1, max_size=4))
    try:
        quick = default.merged(patch)
    except ConfigError as error:
        assert str(error)
    else:
        slow = Configuration(quick.documents)
        assert dict(quick.effective) == dict(slow.effective)
        assert {*quick.unresolved} == {*slow.unresolved}
    assert default.sha256 == _lab_digest(lab_config)


_CACHE: dict[Path, tuple[Configuration, str]] = {}


def _lab(folder: Path) -> Configuration:
    if folder not in _CACHE:
        cfg = Configuration.from_texts(read_texts(folder))
        _CACHE[folder] = (cfg, cfg.sha256)
    return _CACHE[folder][0]


def _lab_digest(folder: Path) -> str:
    return Configuration(_lab(folder).documents).sha256 if folder not in _CACHE else _CACHE[folder][1]
