"""The picture of a result: populations against the x axis with their fits, IQ points, traces.

A two-dimensional sweep is drawn as heat maps. matplotlib is imported here and nowhere else, without
pyplot: no window, no display, no global state, so that a server's thread may draw. The picture is 800
pixels wide. The parts are in `qtrl_spool.results.panels`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.processing import chain_steps
from qtrl_spool.processing.demodulation import known_frequencies
from qtrl_spool.results import panels
from qtrl_spool.results.summary import job_id, setting_texts, state, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtrl_spool.results.measured import Measured

_MAX_CLOUDS = 4
_MAX_SETTINGS = 3
Rows = tuple[str, str, NDArray[np.float64]]


def draw(result: Measured) -> Figure:
    """Return the picture of a result."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = _parts(result)
    heights = [height for height, _ in parts]
    figure = Figure(figsize=(8.0, sum(heights) + 0.7), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(result), fontsize=11, x=0.02, ha="left")
    rooms = figure.subfigures(len(parts) or 1, 1, height_ratios=heights or [1.0])
    for room, (_, paint) in zip(np.ravel(np.asarray(rooms, dtype=object)), parts, strict=False):
        paint(room)
    return figure


def _parts(result: Measured) -> list[tuple[float, Callable[[Any], None]]]:
    """Return the height (inches) of each part that there is, and what draws it."""
    parts: list[tuple[float, Callable[[Any], None]]] = []
    rows = _rows(result)
    if "population" in result.dataset and rows is not None:
        parts.append((3.6, lambda room: panels.heat_maps(room, result, rows)))
    elif "population" in result.dataset:
        parts.append((4.0, lambda room: panels.populations(room.subplots(), result)))
    if "iq" in result.dataset:
        labels = [str(label) for label in result.dataset["readout"].values][:_MAX_CLOUDS]
        parts.append((2.8, lambda room: panels.clouds(room, result, labels)))
    if "raw" in result.dataset:
        parts.append((2.4, lambda room: panels.traces(room.subplots(), result, *_demodulation(result))))
    return parts


def _rows(result: Measured) -> Rows | None:
    """Return the slow axis of a two-dimensional sweep, if it is one and all of it is there."""
    try:
        rows: Rows | None = result.sequence.rows
    except QtrlSpoolError:
        return None
    if rows is None or len(rows[2]) < 2 or result.dataset.sizes.get("element", 0) % len(rows[2]):
        return None
    return rows


def _demodulation(result: Measured) -> tuple[dict[str, float], float]:
    """Return the modulation frequency (Hz) of each readout that was read, and the digitizer's sample rate."""
    adc = result.config["adc"]
    read = [str(label) for label in result.dataset["readout"].values]
    step = next((each for each in chain_steps(adc) if each.type == "Heterodyne"), None)
    if step is None:
        return {}, float(adc["hardware_settings"]["sample_rate"])
    rate = step.kwargs.get("sample_rate") or adc["hardware_settings"]["sample_rate"]
    known = known_frequencies(step.kwargs["freq_labels"], step.kwargs["frequencies"])
    return {label: known[label] for label in read if label in known}, float(rate)


def _title(result: Measured) -> str:
    attrs = result.attrs
    date = str(attrs.get("finished") or attrs.get("started") or "")[:16].replace("T", " ")
    sizes = result.dataset.sizes
    counts = f"{sizes['repetition']} repetitions" if "repetition" in sizes else ""
    partial = "" if state(result) == "done" else state(result)
    again = "processed again" if attrs.get("reprocessed") else ""
    details = [job_id(result), f"{date} UTC" if date else "", counts, partial, again]
    changed = setting_texts(result)[:_MAX_SETTINGS]
    lines = [title(result), "  ·  ".join(text for text in details if text), ", ".join(changed)]
    return "\n".join(line for line in lines if line)
