"""Drawing a compiled sequence; matplotlib is imported here and nowhere else in the package's lower floors.

`draw_program` gives a figure: one element as a trace for each channel that plays, with the pulses'
names over their spans, or all elements of those channels as maps. Time runs in us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.sequence.render import render_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtrl_spool.sequence.sequence import Sequence

MAX_POINTS = 20_000
"""Points drawn along a trace or a row; more are thinned to the largest and smallest of each stretch."""
N_MAP = 800
N_NAMES = 4
CLOSE = 0.015
"""Labels nearer than this part of the time axis are joined."""


def draw_program(sequence: Sequence, element: int | None = None, file: Any = None) -> Figure:
    """Draw a compiled sequence.

    Parameters
    ----------
    sequence:
        The sequence, compiled.
    element:
        The element to draw as traces; None for all as maps (or the only one as traces).
    file:
        Where to save the figure, a path or a file; None to leave it.

    Returns
    -------
    figure:
        A figure of matplotlib that belongs to no window.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    program = sequence.program
    lines = _lines(program.plays)
    if element is None and program.n_elements == 1:
        element = 0
    figure = Figure(figsize=(10, 1.2 + 0.9 * max(1, len(lines))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(max(1, len(lines)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, line in zip(axes, lines, strict=False):
        if element is None:
            _map(axis, sequence, *line)
        else:
            _trace(axis, sequence, range(program.n_elements)[element], *line)
        axis.set_ylabel(
            f"ch {line[0]}" + (f".{line[1]}" if line[1] else ""), rotation=0, ha="right", va="center"
        )
    if element is not None and lines:
        _names(axes[0], sequence, range(program.n_elements)[element])
    axes[-1].set_xlabel("time (us)")
    figure.suptitle(sequence.name + ("" if element is None else f", element {element}"))
    if file is not None:
        figure.savefig(file, dpi=120)
    return figure


def _lines(plays: NDArray[Any]) -> list[tuple[int, int]]:
    """Return the (channel, subchannel) that play."""
    return sorted(set(zip(plays["channel"].tolist(), plays["subchannel"].tolist(), strict=True)))


def _thinned(samples: NDArray[np.float64], sample_rate: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return times in us and samples, a long line reduced to the extremes of each stretch."""
    step = -(-2 * len(samples) // MAX_POINTS)
    if step <= 2:
        return np.arange(len(samples)) / sample_rate * 1e6, samples
    n = len(samples) // step * step
    stretches = samples[:n].reshape(-1, step)
    times = np.repeat(np.arange(0, n, step), 2) / sample_rate * 1e6
    return times, np.stack((stretches.min(axis=1), stretches.max(axis=1)), axis=1).ravel()


def _trace(axis: Any, sequence: Sequence, element: int, channel: int, subchannel: int) -> None:
    program = sequence.program
    line = render_line(program, element, channel, subchannel)
    peak = float(np.abs(line).max(initial=0.0)) or 1.0
    axis.plot(*_thinned(line, program.sample_rate), lw=0.7)
    axis.set_ylim(-1.1 * peak, 1.1 * peak)
    axis.set_xlim(0, program.duration * 1e6)
    axis.set_yticks([-peak, 0, peak], [f"{-peak:.3g}", "0", f"{peak:.3g}"], fontsize=6)
    axis.grid(alpha=0.3)


def _map(axis: Any, sequence: Sequence, channel: int, subchannel: int) -> None:
    program = sequence.program
    n = min(program.n_samples, N_MAP)
    edges = np.linspace(0, program.n_samples, n + 1).astype(int)[:-1]
    rows = np.zeros((program.n_elements, n))
    for element in range(program.n_elements):
        line = np.abs(render_line(program, element, channel, subchannel))
        rows[element] = np.maximum.reduceat(line, edges) if n else rows[element]
    extent = (0, program.duration * 1e6, program.n_elements - 0.5, -0.5)
    axis.imshow(rows, aspect="auto", extent=extent, cmap="magma", interpolation="nearest", vmin=0)


def _names(axis: Any, sequence: Sequence, element: int) -> None:
    """Write the names of the pulses above the uppermost trace; what is too close shares a label."""
    rate = sequence.sample_rate / 1e6
    labels: list[tuple[float, list[str]]] = []
    for name, start, end in sorted(sequence.spans(element), key=lambda span: span[1] + span[2]):
        middle = (start + end) / 2 / rate
        if labels and middle - labels[-1][0] < CLOSE * sequence.program.duration * 1e6:
            labels[-1][1].append(name)
        else:
            labels.append((middle, [name]))
    for middle, names in labels:
        text = ", ".join(names[:N_NAMES]) + (f", +{len(names) - N_NAMES}" if len(names) > N_NAMES else "")
        axis.annotate(
            text,
            (middle, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            rotation=40,
            fontsize=7,
            annotation_clip=False,
        )
