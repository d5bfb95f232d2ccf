"""The populations of a result as Unicode characters, for a terminal without a display.

Braille characters hold 2 x 4 dots each; one plot for each readout, one line style only: dots. Needs
no library and no knowledge of the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.processing.fitting import evaluate
from qtrl_spool.results.summary import fit_text, title

if TYPE_CHECKING:
    from qtrl_spool.results.measured import Measured

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_MARGIN = 7


def text_plot(result: Measured, *, width: int = 72, height: int = 10) -> str:
    """Return one plot of the excited population for each readout.

    Parameters
    ----------
    width, height:
        Of each plot, in characters; the width includes the labels of the y axis.
    """
    lines = [title(result)]
    if "population" not in result.dataset:
        return "\n".join([*lines, "no populations: the job kept only its IQ points"])
    fits = result.fits
    for label in result.dataset["readout"].values:
        y = result.population.sel(readout=label, level=1)
        kinds = fits.get(str(label), {})
        lines.append(f"{label} excited" + (f"   {fit_text(kinds)}" if kinds else ""))
        lines += _panel(y["element"].values, y.values, kinds, max(width - _MARGIN, 10), height)
    lines.append(_foot(result.dataset["element"], max(width - _MARGIN, 10)))
    return "\n".join(lines)


def _panel(x: NDArray[Any], y: NDArray[Any], kinds: dict[str, Any], width: int, height: int) -> list[str]:
    low, high = _limits(y)
    canvas = np.zeros((4 * height, 2 * width), bool)
    _dots(canvas, x, x, y, (low, high))
    if kinds.get("best"):
        fine = np.linspace(x.min(), x.max(), 20 * width)
        _dots(canvas, x, fine, evaluate(kinds["best"], kinds[kinds["best"]], fine), (low, high))
    rows = _characters(canvas)
    labels = {0: f"{high:5.2f}", height - 1: f"{low:5.2f}"}
    return [f"{labels.get(index, ''):>5} ┤{row}" for index, row in enumerate(rows)]


def _limits(y: NDArray[Any]) -> tuple[float, float]:
    good = y[np.isfinite(y)]
    return min(0.0, float(good.min(initial=0.0))), max(1.0, float(good.max(initial=1.0)))


def _dots(
    canvas: NDArray[np.bool_], x: NDArray[Any], at: NDArray[Any], y: NDArray[Any], limits: tuple[float, float]
) -> None:
    n_rows, n_columns = canvas.shape
    good = np.isfinite(y)
    span = float(np.ptp(x)) or 1.0
    columns = np.rint((at[good] - x.min()) / span * (n_columns - 1)).astype(int)
    rows = np.rint((limits[1] - y[good]) / (limits[1] - limits[0]) * (n_rows - 1)).astype(int)
    canvas[rows.clip(0, n_rows - 1), columns] = True


def _characters(canvas: NDArray[np.bool_]) -> list[str]:
    n_rows, n_columns = canvas.shape
    cells = canvas.reshape(n_rows // 4, 4, n_columns // 2, 2)
    codes = 0x2800 + np.einsum("rycx,yx->rc", cells.astype(int), _DOTS)
    return ["".join(chr(code) for code in row) for row in codes]


def _foot(coordinate: Any, width: int) -> str:
    first, last = f"{float(coordinate.min()):.4g}", f"{float(coordinate.max()):.4g}"
    unit = coordinate.attrs.get("units", "1")
    name = str(coordinate.attrs.get("long_name", "element")) + ("" if unit in ("", "1") else f" ({unit})")
    middle = name.center(max(width - len(first) - len(last), len(name)))
    return " " * _MARGIN + first + middle + last
