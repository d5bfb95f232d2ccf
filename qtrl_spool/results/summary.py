"""A result in words: a few lines for a terminal, a table for a notebook."""

from __future__ import annotations

import base64
import io
from html import escape
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtrl_spool.results.measured import Measured

_FACTS = (
    ("job", "job_id", "id"),
    ("user", "user"),
    ("tags", "tags"),
    ("notes", "notes"),
    ("server", "server"),
    ("started", "started"),
    ("finished", "finished"),
    ("configuration", "config_version"),
)


def summary(result: Measured) -> str:
    """Return what was measured and found, one fact per line."""
    lines = [title(result)]
    facts = [*_identity(result), ("data", _shape(result)), *_findings(result)]
    width = max(len(name) for name, _ in facts)
    lines += [f"  {name:<{width}}  {value}" for name, value in facts]
    lines += [f"  note: {sentence}" for sentence in result.notes]
    return "\n".join(lines)


def html(result: Measured, figure: Figure) -> str:
    """Return a table of the facts and a picture, for a notebook."""
    facts = [*_identity(result), ("data", _shape(result)), *_findings(result)]
    facts += [("note", sentence) for sentence in result.notes]
    rows = "".join(
        f"<tr><th align='left'>{escape(name)}</th><td align='left'>{escape(value)}</td></tr>"
        for name, value in facts
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    encoded = base64.b64encode(picture.getvalue()).decode()
    return (
        f"<b>{escape(title(result))}</b><table>{rows}</table>"
        f"<img alt='{escape(title(result))}' src='data:image/png;base64,{encoded}'>"
    )


def title(result: Measured) -> str:
    """Return the name of the job."""
    return str(result.attrs.get("name") or result.path.name)


def job_id(result: Measured) -> str:
    """Return the job's id, or an empty text."""
    return str(_first(result.attrs, ("job_id", "id")) or "")


def _identity(result: Measured) -> list[tuple[str, str]]:
    facts = []
    for name, *keys in _FACTS:
        value = _first(result.attrs, keys)
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        if value not in (None, "", -1):
            facts.append((name, str(value)))
    return facts


def _first(attrs: dict[str, Any], keys: Any) -> Any:
    return next((attrs[key] for key in keys if attrs.get(key) is not None), None)


def _shape(result: Measured) -> str:
    sizes = result.dataset.sizes
    labels = (
        ", ".join(str(label) for label in result.dataset["readout"].values) if "readout" in sizes else "none"
    )
    counts = [
        f"{sizes[axis]} {axis}{'' if sizes[axis] == 1 else 's'}"
        for axis in ("repetition", "element", "trigger")
        if axis in sizes
    ]
    return f"readout {labels}; {', '.join(counts)}; {', '.join(map(str, result.dataset.data_vars))}"


def _findings(result: Measured) -> list[tuple[str, str]]:
    found = []
    if "population" in result.dataset and "element" in result.dataset.sizes:
        for label in result.dataset["readout"].values:
            excited = result.population.sel(readout=label, level=1)
            low, high = float(excited.min()), float(excited.max())
            if isfinite(low) and isfinite(high):
                found.append((f"{label} excited", f"{low:.3f} to {high:.3f}"))
    for label, kinds in result.fits.items():
        found.append((f"{label} fit", fit_text(kinds)))
    return found


def fit_text(kinds: dict[str, Any]) -> str:
    """Return the best fit of one readout in one line, or why there is none."""
    best = kinds.get("best")
    if best is None:
        reasons = {record["reason"] for name, record in kinds.items() if name != "best"}
        return f"no fit: {'; '.join(sorted(reasons))}" if reasons else "no fit"
    parameters = kinds[best]["parameters"]
    told = [name for name in ("frequency", "tau", "amplitude") if name in parameters]
    return f"{best}: " + ", ".join(f"{name} {quantity(**parameters[name])}" for name in told)


def quantity(value: float, error: float, unit: str) -> str:
    """Return ``10.116(3) MHz``: a value with its standard error in units of its last digits."""
    suffix = "" if unit == "1" else f" {unit}"
    if not (isfinite(value) and isfinite(error)) or error <= 0:
        return f"{value:.6g}{suffix}"
    exponent = floor(log10(error))
    if error / 10**exponent < 2.95:
        exponent -= 1
    if exponent >= 0 or exponent < -9:
        return f"{value:.6g} ± {error:.2g}{suffix}"
    digits = round(error / 10**exponent)
    return f"{value:.{-exponent}f}({digits}){suffix}"
