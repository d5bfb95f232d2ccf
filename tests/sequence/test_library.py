"""The pulse library: keys, what prototypes imply, virtual Z, plain dictionaries."""

import math

import numpy as np
import pytest

from qtrl_spool.errors import UnknownPulseError
from qtrl_spool.sequence import Pulse, PulseLibrary, SequenceWrapper, VirtualEnvelope

from .pulses import NS, plain, qubit, real, turn

PI = math.pi
VARIABLES = {"Q6": {"mod_freq": 86e6, "freq": 5.4e9}}


def phases(library, key):
    return [sum(part.envelope.kwargs["phase"]) for part in library[key]]


@pytest.mark.parametrize(
    ("name", "amplitude", "phase"),
    [
        ("X90", 0.25, 0.0),
        ("X180", 0.5, 0.0),
        ("X-90", 0.25, PI),
        ("X270", 0.25, PI),
        ("Y90", 0.25, -PI / 2),
        ("Y180", 0.5, -PI / 2),
        ("Y-90", 0.25, PI / 2),
        ("Y270", 0.25, PI / 2),
    ],
)
@pytest.mark.parametrize("suffix", ["", "_ef"])
def test_prototypes_imply_rotations_about_x_and_y(name, amplitude, phase, suffix):
    group = {f"{angle}{suffix}" if suffix else angle: part for angle, part in qubit().items()}
    library = PulseLibrary({"Q6": group})
    parts = library[f"Q6/{name}{suffix}"]
    assert [part.envelope.kwargs["amplitude"] for part in parts] == [amplitude] * 2
    assert phases(library, f"Q6/{name}{suffix}") == pytest.approx([phase, phase - PI / 2])


def test_the_identity_is_a_virtual_turn_by_nothing_for_each_component():
    library = PulseLibrary({"Q6": qubit(freq=86e6)})
    assert library["Q6/I"] == [Pulse(VirtualEnvelope(0.0, None), 86e6, channel, 0) for channel in (0, 1)]


def test_virtual_components_of_a_prototype_are_kept():
    group = qubit()
    group[90].append(plain(turn(0.3, 86e6)))
    assert PulseLibrary({"Q6": group})["Q6/Y90"][2] == turn(0.3, 86e6)


def test_only_groups_with_a_q_get_rotations():
    assert "R6/X90" not in PulseLibrary({"R6": qubit()})
    assert "Q6/X90" not in PulseLibrary({"Q6": {90: qubit()[90]}})


@pytest.mark.parametrize(("text", "degrees"), [("45.0", 45), ("-90", -90), ("1e-05", 1e-5), ("+.5", 0.5)])
def test_a_virtual_z_takes_any_float_in_degrees(text, degrees):
    library = PulseLibrary({"Q6": qubit()}, VARIABLES)
    assert library[f"Q6/Z{text}"] == Pulse(VirtualEnvelope(math.radians(degrees), None), 86e6, 0, 0)


def test_without_variables_a_virtual_z_has_the_frequency_of_the_qubits_pulses():
    assert PulseLibrary({"Q6": qubit(freq=12e6)})["Q6/Z90"].freq == 12e6


def test_a_virtual_z_that_is_no_number_is_an_ordinary_key():
    library = PulseLibrary({"Q6": {"Zed": plain(real())}}, VARIABLES)
    assert library["Q6/Zed"] == real()
    assert "Q6/Zoo" not in library


def test_an_axis_of_turns_agrees_with_the_algebra_of_rotations():
    """Z(theta) before X90 is X90 with phase theta; Y90 is Z-90, X90, Z90."""
    library = PulseLibrary({"Q6": qubit(freq=86e6)})

    def played(*keys):
        seq = SequenceWrapper(1)
        ref = "Start"
        for key in keys:
            _, ref = seq.append(key, start=ref)
        return seq.compile(library).program.channel(0, 0)

    assert np.abs(played("Q6/Y90") - played("Q6/Z-90", "Q6/X90", "Q6/Z90")).max() < 1e-7


def test_keys_lists_what_is_stored_and_what_is_implied():
    library = PulseLibrary({"Q6": qubit(), "Readout": {"R6": [plain(real())]}, "Temp": [plain(real())]})
    assert library.keys("Readout") == ["Readout/R6"]
    assert {"Q6/90", "Q6/180", "Q6/I", "Q6/Y-90", "Temp"} <= set(library)
    assert all(key in library for key in library)
    assert len(library) == len(library.keys())


def test_an_ordered_mapping_in_the_properties_is_read():
    tree = plain(real())
    tree["envelope"]["properties"] = [{key: value} for key, value in tree["envelope"]["properties"].items()]
    assert PulseLibrary({"Temp": tree})["Temp"] == real()


@pytest.mark.parametrize(
    "pulses",
    [
        {"Q6/X180": [real(), real(channel=1)]},
        {"Q6/X180": plain([real(), real(channel=1)])},
        {"Q6": {"X180": [real(), real(channel=1)]}},
        {"Q6": {"X180": plain([real(), real(channel=1)])}},
        PulseLibrary({"Q6": {"X180": plain([real(), real(channel=1)])}}),
    ],
)
def test_the_example_runs_with_pulses_in_any_form(pulses):
    seq = SequenceWrapper(n_elements=10)
    start_ref, end_ref = seq.append("Q6/X180", element=5)
    compiled = seq.compile(pulses)
    assert (start_ref, end_ref) == ("Start", "ref1")
    assert compiled.array.shape == (2, 10, 10, 1)
    assert compiled.array[:, 5].sum() == compiled.array.sum() == 20


def test_a_plain_dictionary_of_prototypes_gives_rotations_too():
    seq = SequenceWrapper(1)
    seq.append("Q6/Y-90", start_delay=3 * NS)
    assert seq.compile({"Q6": qubit()}).array.shape == (2, 1, 23, 1)


def test_an_unknown_name_in_a_group_lists_what_the_group_has():
    with pytest.raises(UnknownPulseError, match="Readout has R6, Trigger"):
        PulseLibrary({"Readout": {"R6": plain(real()), "Trigger": plain(real())}})["Readout/xyzzy-plugh"]


def test_a_z_of_a_group_without_a_frequency_says_which_variable_is_missing():
    with pytest.raises(UnknownPulseError, match="needs the variable Readout/mod_freq"):
        PulseLibrary({"Readout": {"R6": plain(real())}})["Readout/Z90"]


def test_a_library_hands_out_lists_that_are_the_callers_own():
    library = PulseLibrary({"Q6": qubit()})
    library["Q6/X90"].append("rubbish")
    assert len(library["Q6/X90"]) == 2
    assert len(library["Q6/X90"] + library["Q6/180"]) == 4
