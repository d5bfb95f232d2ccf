"""A result in a notebook: what was measured and found, and its picture, in one box.

Styles are written into the elements, as notebooks take style sheets out; colours follow the notebook's
own (``currentColor``), so that it is readable by day and by night. All texts are escaped.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from qtrl_spool.results.summary import facts, state, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtrl_spool.results.measured import Measured

_BOX = "border:1px solid rgba(128,128,128,.4);border-radius:6px;padding:.6em 1em;max-width:840px"
_TITLE = "font-size:1.15em;font-weight:600;margin-bottom:.3em"
_BADGE = "font-size:.75em;font-weight:400;border:1px solid currentColor;border-radius:1em;padding:.05em .6em"
_NAME = "text-align:left;vertical-align:top;padding:.1em 1.2em .1em 0;font-weight:400;opacity:.65"
_VALUE = "text-align:left;vertical-align:top;padding:.1em 0;white-space:normal;overflow-wrap:anywhere"

_PICTURE = "width:100%;margin-top:.6em"


def html(result: Measured, figure: Figure) -> str:
    """Return the box with the facts and the picture."""
    rows = "".join(
        f"<tr style='background:none'><th style='{_NAME}'>{escape(name)}</th>"
        f"<td style='{_VALUE}'>{escape(value)}</td></tr>"
        for name, value in facts(result)
        if name != "variables"
    )
    name = escape(title(result), quote=True)
    return (
        f"<div style='{_BOX}'><div style='{_TITLE}'>{name} "
        f"<span style='{_BADGE}'>{escape(state(result))}</span></div>"
        f"<table style='border:0;border-collapse:collapse'>{rows}</table>"
        f"<img alt='{name}' style='{_PICTURE}' src='data:image/png;base64,{_png(figure)}'></div>"
    )


def _png(figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return base64.b64encode(picture.getvalue()).decode()
