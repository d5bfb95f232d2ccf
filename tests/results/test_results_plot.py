"""Pictures: what they show, and that they need neither display nor global state."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qtrl_spool.axes import Labelled
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
