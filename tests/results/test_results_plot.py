"""Pictures: what they show, and that they need neither display nor global state."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from qtrl_spool.axes import RAW_AXES, Labelled
from qtrl_spool.errors import NotFoundError, StorageError, UsageError
from qtrl_spool.processing import Processed


def texts(figure):
    import matplotlib.text

    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_the_picture_names_job_axes_and_fit(result):
    found = "\n".join(texts(result.plot()))
    for piece in (
        "rabi <Q6>",
        "20261123-101530-rabi-k3f9x",
        "2026-11-23 10:15 UTC",
        "pulse width (us)",
        "MHz",
    ):
        assert piece in found


def test_the_picture_is_800_pixels_wide(result):
    figure = result.plot()
    assert figure.get_figwidth() * figure.dpi == 800


@pytest.mark.parametrize(("suffix", "starts"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_file_is_of_the_kind_that_its_name_says(result, tmp_path, suffix, starts):
    file = tmp_path / f"rabi.{suffix}"
    result.plot(file)
    assert file.read_bytes().startswith(starts)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("rabi.txt", UsageError, r"no picture is written to 'rabi\.txt'.*\.png"),
        ("rabi", UsageError, r"no picture is written to 'rabi'"),
        ("nowhere/rabi.png", NotFoundError, "there is no folder .*nowhere"),
        ("folder.png", StorageError, "cannot write the picture .*folder.png"),
    ],
)
def test_a_picture_that_cannot_be_written_is_an_error_that_says_why(result, tmp_path, name, error, said):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(error, match=said):
        result.plot(tmp_path / name)


def test_drawing_leaves_pyplot_alone(result):
    program = (
        "import sys; from qtrl_spool.results import Result\n"
        f"Result({str(result.path)!r}).plot()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr


def test_a_partial_result_is_drawn_as_its_points(build):
    assert "I (arb. unit)" in texts(build(processed=None).plot())


def test_a_single_element_is_drawn(build, iq, processed):
    one = {name: cut(data) for name, data in processed.variables.items()}
    result = build(
        iq=cut(iq),
        processed=Processed(one, coordinates=processed.coordinates),
        x_axis=("element", "", np.zeros(1)),
    )
    assert "element" in texts(result.plot())
    assert "R6 excited" in result.text_plot()


def test_elements_without_populations_are_drawn_as_gaps(build, processed):
    population = processed.variables["population"].values
    population[..., 3] = np.nan
    population[1] = np.nan
    assert "population" in texts(build().plot())


def test_the_terminal_plot_has_the_width_that_was_asked_for(result):
    lines = result.text_plot(width=60).splitlines()
    panel = [line for line in lines if "┤" in line]
    assert len(panel) == 20
    assert {len(line) for line in panel} == {60}
    assert "pulse width (us)" in lines[-1]


def test_the_terminal_plot_of_a_result_without_populations_says_so(build):
    assert "no populations" in build(processed=None).text_plot()


def cut(data):
    """Return the data of the first element, the axis kept."""
    at = data.axis("element")
    return Labelled(np.take(data.values, [0], axis=at), data.axes)


CLASSIFIER = {
    "rotation": 0.0,
    "means": [[-1.0, 0.0], [1.0, 0.0]],
    "covariances": [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]],
    "weights": [0.5, 0.5],
    "fitted": False,
}


def two_dimensional(n_rows):
    rows = {"name": "detuning", "unit": "MHz", "values": [float(row) for row in range(n_rows)]}
    axis = {"name": "pulse width", "unit": "us", "values": list(range(21)), "rows": rows}
    head = {"format": "qtrl-sequence/1", "name": "chevron", "n_elements": 21, "x_axis": axis, "appends": []}
    return {"sequence": json.dumps(head), "patch": "{}", "config": "{}"}


def test_a_two_dimensional_sweep_is_a_heat_map_of_each_readout(build):
    from matplotlib.collections import QuadMesh

    figure = build(documents=two_dimensional(3)).plot()

    meshes = [mesh for mesh in figure.findobj(QuadMesh) if mesh.get_array().size == 21]
    assert [mesh.get_array().reshape(3, 7).shape for mesh in meshes] == [(3, 7)] * 2
    assert "detuning (MHz)" in texts(figure)


def test_the_boundaries_of_the_classifier_are_drawn_between_its_levels(build, processed):
    from matplotlib.contour import ContourSet

    told = replace(processed, classifier=dict.fromkeys(("R6", "R0"), CLASSIFIER))
    figure = build(processed=told).plot()

    lines = figure.findobj(ContourSet)
    assert len(lines) == 2
    assert abs(lines[0].get_paths()[0].vertices[:, 0]).max() < 0.1


def test_raw_traces_are_drawn_with_what_demodulation_makes_of_them(build, iq):
    turns = np.exp(-2j * np.pi * 0.1 * np.arange(100))
    trace = np.stack([turns.real, turns.imag]).astype(np.float32)
    raw = Labelled(np.broadcast_to(trace[:, None, None, None], (2, 30, 21, 2, 100)), RAW_AXES)
    step = {"type": "Heterodyne", "kwargs": {"freq_labels": ["6", "0"], "frequencies": [1e8, 2e8]}}
    adc = {"hardware_settings": {"sample_rate": 1e9}, "processing": {"a": {"b": step}}}
    documents = {"sequence": "{}", "patch": "{}", "config": json.dumps({"adc": adc})}

    figure = build(raw=raw, documents=documents).plot()

    drawn = {line.get_label(): line.get_ydata() for axes in figure.axes for line in axes.get_lines()}
    assert drawn["R6 at 100 MHz"][40:60] == pytest.approx(1.0, abs=0.02)
    assert drawn["R0 at 200 MHz"][40:60].max() < 0.3


def test_the_title_tells_what_the_job_changed(result):
    assert any("variables/Q6/freq = 5410000000" in text for text in texts(result.plot()))
