"""The parts of a result's picture: populations, heat maps, IQ points, traces. Each draws into given axes.

Colours are those of Okabe and Ito, told apart by all kinds of colour vision, each with its own marker;
heat maps are viridis. Called by `qtrl_spool.results.plot`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.processing.classifier import levels_at
from qtrl_spool.processing.models import evaluate
from qtrl_spool.results.layout import IQ_UNIT
from qtrl_spool.results.summary import axis_label, fit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qtrl_spool.results.measured import Measured

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dvp*"
LEVELS = ("#56B4E9", "#E69F00", "#009E73", "#000000")
"""Of the levels among IQ points: others than those of the first readouts."""
_DISCARDED = "#BBBBBB"
_MAX_POINTS = 2000
_GRID = 160
_MARGIN = 1.6


def label_of(coordinate: Any) -> str:
    """Return what stands beside an axis: its name and unit."""
    return axis_label(
        str(coordinate.attrs.get("long_name", "element")), str(coordinate.attrs.get("units", "1"))
    )


def populations(axes: Axes, result: Measured) -> None:
    """Draw the population of each excited level against the x axis, with error bars and the best fit."""
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
    axes.set_xlabel(label_of(x))
    axes.set_ylabel("population")
    axes.grid(alpha=0.25)
    axes.axhspan(0, 1, color="#000000", alpha=0.03, lw=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9, frameon=False, ncols=1)


def heat_maps(panel: Any, result: Measured, rows: tuple[str, str, NDArray[np.float64]]) -> None:
    """Draw the population of level 1 of each readout over both axes of a two-dimensional sweep."""
    population = result.population.sel(level=1)
    labels = [str(each) for each in population["readout"].values]
    axes = panel.subplots(1, len(labels), squeeze=False, sharey=True)[0]
    name, unit, values = rows
    x = population["element"].values.reshape(len(values), -1)[0]
    for axis, label in zip(axes, labels, strict=True):
        grid = population.sel(readout=label).values.reshape(len(values), -1)
        mesh = axis.pcolormesh(x, values, grid, cmap="viridis", vmin=0, vmax=1, shading="nearest")
        axis.set_title(label, fontsize=10)
        axis.set_xlabel(label_of(population["element"]))
    axes[0].set_ylabel(axis_label(name, unit))
    panel.colorbar(mesh, ax=list(axes), label="population of level 1", pad=0.02)


def clouds(panel: Any, result: Measured, labels: list[str]) -> None:
    """Draw points of the last trigger, coloured by the level that they were found in, and the boundaries."""
    axes = panel.subplots(1, len(labels), squeeze=False)[0]
    has_state = "state" in result.dataset
    points, states = _sample(result, has_state)
    levels = [int(level) for level in np.unique(states)]
    rows = [str(each) for each in result.dataset["readout"].values]
    for axis, label in zip(axes, labels, strict=True):
        row = rows.index(label)
        _cloud(axis, points[row], states[row])
        _boundaries(axis, points[row], result.classifier.get(label))
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


def _sample(result: Measured, has_state: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return some points and their levels [readout, point], of repetitions evenly chosen."""
    iq = result.dataset["iq"].isel(trigger=-1)
    n_readouts, n_repetitions, n_elements = (iq.sizes[each] for each in ("readout", "repetition", "element"))
    step = max(1, n_repetitions * n_elements // _MAX_POINTS)
    few = {"repetition": slice(None, None, min(step, n_repetitions))}
    values = iq.isel(few).transpose("readout", "repetition", "element", "quadrature").values
    points = (values[..., 0] + 1j * values[..., 1]).reshape(n_readouts, -1)
    states = np.zeros(points.shape, np.int8)
    if has_state:
        states = result.dataset["state"].isel(few).values.reshape(n_readouts, -1)
    more = max(1, points.shape[1] // _MAX_POINTS)
    return points[:, ::more], states[:, ::more]


def _cloud(axes: Axes, points: NDArray[Any], states: NDArray[Any]) -> None:
    for level in np.unique(states):
        _dots(axes, points[states == level], int(level))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_box_aspect(1)
    axes.set_xlabel(f"I ({IQ_UNIT})", fontsize=8)
    axes.set_ylabel(f"Q ({IQ_UNIT})", fontsize=8)
    axes.tick_params(labelsize=8)


def _boundaries(axes: Axes, points: NDArray[Any], classifier: Any) -> None:
    """Draw where the classifier's answer changes from one level to another."""
    good = points[np.isfinite(points)]
    if classifier is None or not good.size:
        return
    centre = complex((good.real.min() + good.real.max()) / 2, (good.imag.min() + good.imag.max()) / 2)
    reach = _MARGIN * max(np.ptp(good.real), np.ptp(good.imag), 1e-9) / 2
    x, y = (np.linspace(at - reach, at + reach, _GRID) for at in (centre.real, centre.imag))
    found = levels_at(classifier, x[None, :] + 1j * y[:, None])
    for level in np.unique(found)[1:]:
        axes.contour(x, y, found >= level, levels=[0.5], colors="#444444", linewidths=0.9, linestyles="--")
    shown = reach / _MARGIN * 1.1
    axes.set_xlim(centre.real - shown, centre.real + shown)
    axes.set_ylim(centre.imag - shown, centre.imag + shown)


def _dots(axes: Axes, points: NDArray[Any], level: int) -> Any:
    colour = _DISCARDED if level < 0 else LEVELS[level % len(LEVELS)]
    (line,) = axes.plot(points.real, points.imag, ".", ms=2.5, alpha=0.6, color=colour, rasterized=True)
    return line


def traces(axes: Axes, result: Measured, frequencies: dict[str, float], sample_rate: float) -> None:
    """Draw the mean trace of the last element's last trigger, and what demodulation makes of it.

    Parameters
    ----------
    axes:
        To draw into.
    result:
        With raw traces.
    frequencies:
        Of each readout, Hz.
    sample_rate:
        Of the digitizer, samples/s.
    """
    mean = result.dataset["raw"].isel(element=-1, trigger=-1).mean("repetition")
    inphase, quadrature = mean.transpose("quadrature", "point").values
    signal = inphase + 1j * quadrature
    signal = signal - signal.mean()
    time_us = np.arange(signal.size) / sample_rate * 1e6
    axes.plot(time_us, signal.real, color="#999999", lw=0.8, label="I of the digitizer")
    for index, (label, frequency) in enumerate(frequencies.items()):
        envelope = np.abs(_demodulated(signal, frequency / sample_rate))
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(time_us, envelope, color=colour, lw=1.6, label=f"{label} at {frequency * 1e-6:g} MHz")
    axes.set_xlabel("time after the trigger (us)")
    axes.set_ylabel(f"signal ({IQ_UNIT})")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", fontsize=8, frameon=False, ncols=1 + len(frequencies))


def _demodulated(signal: NDArray[Any], turns: float) -> NDArray[Any]:
    """Return the signal turned back by its carrier, averaged over some periods of it."""
    back = signal * np.exp(2j * np.pi * turns * np.arange(signal.size))
    width = int(min(max(signal.size // 10, 3 / max(abs(turns), 1e-9)), max(signal.size // 3, 1)))
    window = np.ones(max(width, 1)) / max(width, 1)
    return np.convolve(back, window, mode="same")
