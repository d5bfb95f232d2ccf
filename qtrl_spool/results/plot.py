"""The picture of a result: populations against the x axis with their fits, and the IQ points.

matplotlib is imported here and nowhere else, without pyplot: no window, no display, no global state,
so that a server's thread may draw. Colours are those of Okabe and Ito, told apart by all kinds of
colour vision, each with its own marker. The picture is 800 pixels wide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.processing.fitting import evaluate
from qtrl_spool.results.layout import IQ_UNIT
from qtrl_spool.results.summary import fit_text, job_id, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qtrl_spool.results.measured import Measured

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dvp*"
_DISCARDED = "#BBBBBB"
_MAX_POINTS = 2000
_MAX_CLOUDS = 4


def draw(result: Measured) -> Figure:
    """Return the picture of a result."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    has_population = "population" in result.dataset
    labels = [str(label) for label in result.dataset["readout"].values] if "iq" in result.dataset else []
    clouds = labels[:_MAX_CLOUDS]
    figure = Figure(
        figsize=(8.0, 4.0 * has_population + 2.8 * bool(clouds) + 0.6), dpi=100, layout="constrained"
    )
    FigureCanvasAgg(figure)
    figure.suptitle(_title(result), fontsize=11, x=0.02, ha="left")
    parts = figure.subfigures(
        has_population + bool(clouds) or 1, 1, height_ratios=_heights(has_population, clouds)
    )
    panels = list(np.ravel(np.asarray(parts, dtype=object)))
    if has_population:
        _populations(panels.pop(0).subplots(), result)
    if clouds:
        _clouds(panels.pop(0), result, clouds)
    return figure


def _heights(has_population: bool, clouds: list[str]) -> list[float]:
    return [4.0] * has_population + [2.8] * bool(clouds) or [1.0]


def _title(result: Measured) -> str:
    attrs = result.attrs
    date = str(attrs.get("finished") or attrs.get("started") or "")[:16].replace("T", " ")
    counts = (
        f"{result.dataset.sizes['repetition']} repetitions" if "repetition" in result.dataset.sizes else ""
    )
    details = [job_id(result), f"{date} UTC" if date else "", counts]
    return title(result) + "\n" + "  ·  ".join(text for text in details if text)


def _populations(axes: Axes, result: Measured) -> None:
    population, error, fits = result.population, result.population_err, result.fits
    x = population["element"]
    fine = np.linspace(float(x.min()), float(x.max()), 600)
    series = [
        (label, level) for label in population["readout"].values for level in population["level"].values[1:]
    ]
    for index, (label, level) in enumerate(series):
        y, dy = population.sel(readout=label, level=level), error.sel(readout=label, level=level)
        kinds = fits.get(str(label), {}) if level == 1 else {}
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        name = f"{label} level {level}" + (f"   {fit_text(kinds)}" if kinds else "")
        axes.errorbar(x, y, dy, fmt=marker, color=colour, ms=4, lw=0, elinewidth=1, capsize=0, label=name)
        if kinds.get("best"):
            axes.plot(fine, evaluate(kinds["best"], kinds[kinds["best"]], fine), color=colour, lw=1.5)
        else:
            axes.plot(x, y, color=colour, lw=0.6, alpha=0.6)
    axes.set_xlabel(_axis_label(x))
    axes.set_ylabel("population")
    axes.grid(alpha=0.25)
    axes.axhspan(0, 1, color="#000000", alpha=0.03, lw=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9, frameon=False, ncols=1)


def _axis_label(coordinate: Any) -> str:
    name, unit = coordinate.attrs.get("long_name", "element"), coordinate.attrs.get("units", "1")
    return str(name) if unit in ("", "1") else f"{name} ({unit})"


def _clouds(panel: Any, result: Measured, labels: list[str]) -> None:
    """Draw the points of the last trigger, coloured by the level that they were found in."""
    axes = panel.subplots(1, len(labels), squeeze=False)[0]
    has_state = "state" in result.dataset
    points = result.iq.isel(trigger=-1)
    states = result.state.values if has_state else np.zeros(points.shape, np.int8)
    levels = [int(level) for level in np.unique(states)]
    rows = points["readout"].values.tolist()
    for axis, label in zip(axes, labels, strict=True):
        row = rows.index(label)
        _cloud(axis, points.values[row].ravel(), states[row].ravel())
        axis.set_title(label, fontsize=10)
    if has_state:
        names = ["discarded" if level < 0 else f"level {level}" for level in levels]
        dots = [_dots(axes[0], np.zeros(0), level) for level in levels]
        panel.legend(
            dots,
            names,
            loc="outside lower center",
            ncols=len(names),
            fontsize=9,
            markerscale=4,
            frameon=False,
        )


def _cloud(axes: Axes, points: NDArray[Any], states: NDArray[Any]) -> None:
    step = max(1, points.size // _MAX_POINTS)
    points, states = points[::step], states[::step]
    for level in np.unique(states):
        _dots(axes, points[states == level], int(level))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_box_aspect(1)
    axes.set_xlabel(f"I ({IQ_UNIT})", fontsize=8)
    axes.set_ylabel(f"Q ({IQ_UNIT})", fontsize=8)
    axes.tick_params(labelsize=8)


def _dots(axes: Axes, points: NDArray[Any], level: int) -> Any:
    colour = _DISCARDED if level < 0 else COLOURS[level % len(COLOURS)]
    (line,) = axes.plot(points.real, points.imag, ".", ms=2.5, alpha=0.6, color=colour, rasterized=True)
    return line
