"""Drawing a compiled sequence; matplotlib is imported here and nowhere else in the package's lower floors.

`draw_program` gives a figure: one element as a trace for each channel that plays, below a lane of the
pulses' names, or all elements of those channels as maps. Time runs in us. Made to be read at 800 pixels.

Known limit: names that find no room in `N_LANES` lanes are left out, and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.sequence.render import render_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qtrl_spool.sequence.sequence import Sequence

WIDTH_INCHES, LINE_INCHES, LANE_INCHES = 8.0, 0.75, 0.19
FONT_POINTS = 8.0
LETTER = 0.62 * FONT_POINTS / 72 / (0.86 * WIDTH_INCHES)
"""Width of a letter of a name, as a part of the time axis."""
N_LANES = 10
N_NAMES = 40
"""Names that are tried, those of the longest pulses first."""
MAX_POINTS = 20_000
"""Points drawn along a trace; more are thinned to the largest and smallest of each stretch."""
N_MAP = 700
"""Points along a row of a map, each the largest sample of its stretch."""
N_COLOURS = 10


class Named(NamedTuple):
    """A pulse among the names: times in us, and whether its name ends where the pulse does."""

    name: str
    start: float
    end: float
    lane: int
    leftwards: bool
    colour: str


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
    program = sequence.program
    lines = _sounding(program)
    if element is None and program.n_elements == 1:
        element = 0
    if element is None:
        figure = _maps(sequence, lines)
    else:
        figure = _traces(sequence, range(program.n_elements)[element], lines)
    if file is not None:
        figure.savefig(file, dpi=120)
    return figure


def _sounding(program: Any) -> list[tuple[int, int]]:
    """Return the (channel, subchannel) on which anything but silence is played."""
    plays = program.plays
    loud = np.array([program.samples[p["offset"] : p["offset"] + p["n"]].any() for p in _kinds(plays)], bool)
    kinds = _kinds(plays)[loud]
    return sorted(set(zip(kinds["channel"].tolist(), kinds["subchannel"].tolist(), strict=True)))


def _kinds(plays: NDArray[Any]) -> NDArray[Any]:
    """Return one play for each output and envelope."""
    columns = np.stack([plays[name].astype(np.int64) for name in ("channel", "subchannel", "offset", "n")])
    return plays[np.unique(columns, axis=1, return_index=True)[1]]


def _figure(ratios: list[float]) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, 0.9 + sum(ratios)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(h_pad=0.02, hspace=0.02)  # type: ignore[call-arg, union-attr]
    axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})[
        :, 0
    ]
    axes[-1].set_xlabel("time (us)", fontsize=FONT_POINTS + 1)
    axes[-1].tick_params(axis="x", labelsize=FONT_POINTS)
    for axis in axes[:-1]:
        axis.tick_params(axis="x", bottom=False)
    return figure, list(axes)


def _name_of(line: tuple[int, int]) -> str:
    return f"ch {line[0]}" + (f", marker {line[1]}" if line[1] else "")


# --- one element ---------------------------------------------------------------------------------


def _traces(sequence: Sequence, element: int, lines: list[tuple[int, int]]) -> Figure:
    program = sequence.program
    names, n_left_out = _lanes(sequence, element)
    n_lanes = 1 + max((name.lane for name in names), default=0)
    figure, axes = _figure([LANE_INCHES * n_lanes + 0.1, *([LINE_INCHES] * max(1, len(lines)))])
    axes[0].set_xlim(0, program.duration * 1e6 or 1.0)
    _draw_names(axes[0], names, n_lanes)
    for axis, line in zip(axes[1:], lines, strict=False):
        _trace(axis, sequence, element, *line)
        for name in names:
            axis.axvspan(name.start, max(name.end, name.start), color=name.colour, alpha=0.15, lw=0)
    more = f" ({n_left_out} names left out)" if n_left_out else ""
    figure.align_ylabels(axes[1:])
    figure.suptitle(f"{sequence.name}, element {element}{_x_value(sequence, element)}{more}", fontsize=10)
    return figure


def _x_value(sequence: Sequence, element: int) -> str:
    if sequence.x_axis_name is None:
        return ""
    value = f"{sequence.x_axis[element]:.6g} {sequence.x_axis_unit or ''}".strip()
    return f": {sequence.x_axis_name} {value}"


def _lanes(sequence: Sequence, element: int) -> tuple[list[Named], int]:
    """Return the names that find room, and how many do not.

    A name lies below all others that reach as far as its pulse's begin, so that the line from the name
    down to the traces crosses none.
    """
    rate, whole = sequence.sample_rate / 1e6, sequence.program.duration * 1e6 or 1.0
    busy_until = [-1.0] * N_LANES
    names: list[Named] = []
    every = sequence.spans(element)
    longest = sorted(every, key=lambda span: span[1] - span[2])[:N_NAMES]
    spans = sorted(longest, key=lambda span: (span[1], -span[2]))
    colours = {text: f"C{at % N_COLOURS}" for at, text in enumerate(dict.fromkeys(s[0] for s in spans))}
    for text, first, last in spans:
        start, end = first / rate, last / rate
        needed = (len(text) + 1) * LETTER * whole
        leftwards = start + needed > whole
        left, right = (min(start, end - needed), end) if leftwards else (start, max(end, start + needed))
        lane = 1 + max((number for number, until in enumerate(busy_until) if left < until), default=-1)
        if lane < N_LANES:
            busy_until[lane] = right
            names.append(Named(text, start, end, lane, leftwards, colours[text]))
    return names, len(every) - len(names)


def _draw_names(axis: Axes, names: list[Named], n_lanes: int) -> None:
    axis.set_ylim(n_lanes, 0)
    axis.set_yticks([])
    axis.set_frame_on(False)
    for name in names:
        axis.plot(
            [name.start, name.end], [name.lane + 0.92] * 2, color=name.colour, lw=2, solid_capstyle="butt"
        )
        top = name.lane + (0.92 if name.leftwards else 0.1)
        axis.plot([name.start] * 2, [top, n_lanes], color=name.colour, lw=0.6, clip_on=False)
        axis.annotate(
            name.name,
            (name.end if name.leftwards else name.start, name.lane + 0.5),
            xytext=(-2 if name.leftwards else 2, 0),
            textcoords="offset points",
            ha="right" if name.leftwards else "left",
            va="center",
            fontsize=FONT_POINTS,
            color=name.colour,
        )


def _trace(axis: Axes, sequence: Sequence, element: int, channel: int, subchannel: int) -> None:
    program = sequence.program
    line = render_line(program, element, channel, subchannel)
    peak = float(np.abs(line).max(initial=0.0)) or 1.0
    low = -peak if line.min(initial=0.0) < 0 else 0.0
    axis.plot(*_thinned(line, program.sample_rate), lw=0.7, color="black")
    axis.set_ylim(low - 0.15 * (peak - low), peak + 0.15 * (peak - low))
    axis.set_yticks([low, peak], [f"{low:.3g}", f"{peak:.3g}"], fontsize=FONT_POINTS - 1)
    axis.set_ylabel(
        _name_of((channel, subchannel)), fontsize=FONT_POINTS + 1, rotation=0, ha="right", va="center"
    )
    axis.spines[["top", "right"]].set_visible(False)


def _thinned(samples: NDArray[np.float64], sample_rate: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return times in us and samples, a long line reduced to the extremes of each stretch."""
    step = -(-2 * len(samples) // MAX_POINTS)
    if step <= 2:
        return np.arange(len(samples)) / sample_rate * 1e6, samples
    n = len(samples) // step * step
    stretches = samples[:n].reshape(-1, step)
    times = np.repeat(np.arange(0, n, step), 2) / sample_rate * 1e6
    return times, np.stack((stretches.min(axis=1), stretches.max(axis=1)), axis=1).ravel()


# --- all elements --------------------------------------------------------------------------------


def _maps(sequence: Sequence, lines: list[tuple[int, int]]) -> Figure:
    figure, axes = _figure([1.3 * LINE_INCHES] * max(1, len(lines)))
    axes[0].set_xlim(0, sequence.program.duration * 1e6 or 1.0)
    for axis, line in zip(axes, lines, strict=False):
        _map(axis, sequence, *line)
    figure.align_ylabels(axes)
    figure.suptitle(f"{sequence.name}: all elements, absolute samples, full scale is 1", fontsize=10)
    return figure


def _map(axis: Axes, sequence: Sequence, channel: int, subchannel: int) -> None:
    program = sequence.program
    n = min(program.n_samples, N_MAP)
    edges = np.linspace(0, program.n_samples, n + 1).astype(int)[:-1]
    rows = np.zeros((program.n_elements, n))
    for element in range(program.n_elements):
        line = np.abs(render_line(program, element, channel, subchannel))
        rows[element] = np.maximum.reduceat(line, edges)
    extent = (0.0, program.duration * 1e6, program.n_elements - 0.5, -0.5)
    image = axis.imshow(rows, aspect="auto", extent=extent, cmap="Blues", interpolation="nearest", vmin=0)
    axis.set_yticks([0, program.n_elements - 1])
    axis.tick_params(axis="y", labelsize=FONT_POINTS - 1)
    axis.set_ylabel(
        f"{_name_of((channel, subchannel))}\nelement",
        fontsize=FONT_POINTS + 1,
        rotation=0,
        ha="right",
        va="center",
    )
    bar = axis.figure.colorbar(image, ax=axis, pad=0.01, aspect=8)
    bar.set_ticks([0, float(rows.max())], labels=["0", f"{rows.max():.3g}"], fontsize=FONT_POINTS - 1)
