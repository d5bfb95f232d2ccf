"""Every pulse of the lab's configurations, and all experiments on them, play what the rules say."""

import numpy as np
import pytest

from qtrl_spool import experiments
from qtrl_spool.config import load_config
from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence import Sequence, SequenceWrapper, trigger_samples
from qtrl_spool.sequence.plot import draw_program

from .plain import Plain
from .pulses import NS, plain
from .test_exact import agree


@pytest.fixture(scope="module", params=["five-qubit-chip", "reference"])
def library(request, lab_config, reference_config):
    folder = lab_config if request.param == "five-qubit-chip" else reference_config
    return load_config(folder).pulses


def test_every_pulse_of_the_lab_is_exact_or_names_its_missing_variable(library):
    """Each in an element of its own, as it is stored."""
    good, missing = [], []
    for key in library:
        try:
            alone = Sequence(1)
            alone.append(library[key])
            alone.compile()
            good.append(key)
        except SequenceError as error:
            assert "_ef'" in str(error)
            missing.append(key)
    n = len(good)
    direct, symbolic, wanted = Sequence(n), SequenceWrapper(n), Plain(n, 1e9)
    for element, key in enumerate(good):
        direct.append(library[key], element=element, start_delay=3 * NS)
        symbolic.append(key, element=element, start_delay=3 * NS)
        wanted.append(plain(library[key]), element=element, start_delay=3 * NS)
    assert n > 60
    assert all(key.endswith("_ef") for key in missing)
    agree(direct.compile().array, wanted.array())
    assert np.array_equal(symbolic.compile(library).array, direct.array)


EXPERIMENTS = {
    "rabi": {"n_elements": 4, "step_size": 20 * NS},
    "t1": {"n_elements": 3, "step_size": 50 * NS},
    "ramsey": {"n_elements": 3, "step_size": 50 * NS, "detune": 2e6},
    "echo": {"n_elements": 3, "step_size": 50 * NS, "detune": 2e6},
    "all_xy": {},
    "pi_no_pi": {},
    "interleaved_coherence": {"n_elements": 2, "step_size": 50 * NS, "detune": 2e6},
}


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("herald", [False, True])
def test_the_experiments_play_what_the_rules_say(name, herald, library):
    seq = getattr(experiments, name)([6], herald=herald, **EXPERIMENTS[name])
    compiled = seq.compile(library)
    n_triggers = trigger_samples(compiled.program, library).shape[1]
    assert n_triggers == (2 if herald else 1)
    some = sorted({0, 1, seq.n_elements // 2, seq.n_elements - 1})
    wanted = replayed(seq, library, some)
    array = compiled.array
    assert array.shape[2] >= wanted.shape[2]
    for element in some:
        got = array[: wanted.shape[0], element, : wanted.shape[2]]
        assert np.abs(got - wanted[:, element]).max() < 5e-7


def replayed(seq, library, some):
    """The sequence's appends, one by one, through the plain statement; samples of `some` elements only."""
    slow = Plain(seq.n_elements, seq.sample_rate)
    for record in seq.to_dict()["appends"]:
        entry = dict(record)
        entry["pulse"] = stored(entry["pulse"], library)
        if isinstance(entry.get("element"), dict) and "slice" in entry["element"]:
            entry["element"] = slice(*entry["element"]["slice"])
        swept = {key: value for key, value in entry.items() if isinstance(value, dict) and key != "pulse"}
        if not swept:
            slow.append(**entry)
            continue
        columns = columns_of(entry, seq.n_elements)
        where = {key: entry[key] for key in ("start", "end") if key in entry}
        slow.sweep(entry["pulse"], columns.pop("element"), columns, **where)
    slow.parts = [(part, [e for e in elements if e in some], *rest) for part, elements, *rest in slow.parts]
    return slow.array()


def stored(pulse, library):
    if isinstance(pulse, dict):
        ((form, entries),) = pulse.items()
        parts = [stored(entry, library) for entry in entries]
        if form == "simultaneous":
            return [component for part in parts for component in (part if isinstance(part, list) else [part])]
        return [part if isinstance(part, list) else [part] for part in parts]
    if isinstance(pulse, list):
        return [stored(entry, library) for entry in pulse]
    return plain(library[pulse])


def columns_of(entry, n):
    from qtrl_spool.sequence.sweep import is_swept, values_of

    element = entry.get("element")
    elements = values_of(element) if is_swept(element) else list(range(n)) if element is None else element
    columns = {"element": elements}
    for key, value in entry.items():
        if key not in ("pulse", "element", "start", "end"):
            columns[key] = values_of(value) if is_swept(value) else [value] * len(elements)
    return columns


def test_a_lab_rabi_has_the_length_and_the_pulses_of_the_lab(library):
    """Herald 10 + 1025 + 10000, 10 ns, rabi 100 ns, readout 1025 + 10 samples."""
    seq = experiments.rabi([6], n_elements=6, step_size=20 * NS, herald=True)
    compiled = seq.compile(library)
    assert compiled.array.shape == (12, 6, 11035 + 10 + 100 + 1035, 1)
    triggers = trigger_samples(compiled.program, library)
    assert triggers[:, 0].tolist() == [140] * 6
    assert triggers[:, 1].tolist() == [11035 + 10 + 20 * i + 130 for i in range(6)]


def test_the_unresolved_variables_of_the_lab_are_named_with_their_place(library):
    seq = SequenceWrapper(1)
    seq.append("Q0/X180_ef")
    with pytest.raises(SequenceError) as error:
        seq.compile(library)
    for word in ("Q0/amp_180_ef", "Q0/DRAG_alpha_ef", "append 0"):
        assert word in str(error.value)
    assert "pulses.yaml:" in str(error.value).lower()


@pytest.mark.parametrize("element", [1, None])
def test_a_ramsey_can_be_drawn(element, library, tmp_path):
    compiled = experiments.ramsey([6], n_elements=3, step_size=50 * NS, herald=True).compile(library)
    figure = draw_program(compiled, element, tmp_path / "ramsey.png")
    assert (tmp_path / "ramsey.png").stat().st_size > 5000
    labels = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert bool(labels) == (element is not None)
    assert any("Q6/X90" in label for label in labels) == (element is not None)


def boxes_of(figure):
    """The boxes of all names and axis texts, in pixels."""
    from matplotlib.text import Annotation

    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    return [
        text.get_window_extent(renderer)
        for axis in figure.axes
        for text in axis.texts
        if isinstance(text, Annotation)
    ]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_two_names_in_a_picture_overlap(name, library):
    compiled = getattr(experiments, name)([5, 6], herald=True, **EXPERIMENTS[name]).compile(library)
    figure = draw_program(compiled, compiled.n_elements - 1)
    boxes = boxes_of(figure)
    assert boxes
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_channels_that_only_play_silence_are_not_drawn(library):
    compiled = experiments.ramsey([6], n_elements=3, step_size=50 * NS).compile(library)
    loud = {channel for channel in range(12) if compiled.array[channel].any()}
    labels = {axis.get_ylabel() for axis in draw_program(compiled, 1).axes} - {""}
    assert labels == {f"ch {channel}" for channel in loud}
