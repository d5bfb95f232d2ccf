"""A result in words, for a terminal: what was measured, with which settings, and what was found.

`qtrl_spool.results.notebook` makes a table of the same facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtrl_spool.results.measured import Measured

_MAX_SETTINGS = 6
_COUNTED = ("repetition", "element", "trigger")
_FACTS = (("user", "user"), ("tags", "tags"), ("notes", "notes"), ("server", "server"))


def summary(result: Measured) -> str:
    """Return what was measured and found, one fact per line."""
    told = facts(result)
    width = max(len(name) for name, _ in told)
    return "\n".join([title(result), *(f"  {name:<{width}}  {value}" for name, value in told)])


def facts(result: Measured) -> list[tuple[str, str]]:
    """Return what people want to know of a result: names and values."""
    return [
        *_identity(result),
        *_data(result),
        *_findings(result),
        *(("note", each) for each in result.notes),
    ]


def title(result: Measured) -> str:
    """Return the name of the job."""
    return str(result.attrs.get("name") or result.path.name)


def job_id(result: Measured) -> str:
    """Return the job's id, or an empty text."""
    return str(result.attrs.get("job_id") or result.attrs.get("id") or "")


def state(result: Measured) -> str:
    """Return ``done``, or how far the job had come: ``partial, 2 of 4 batches``."""
    attrs = result.attrs
    if attrs.get("finished"):
        return "done"
    n_reps, n_batches = attrs.get("n_reps"), attrs.get("n_batches")
    repetitions = result.contents.sizes.get("repetition", 0)
    return f"partial, {repetitions // n_reps} of {n_batches} batches" if n_reps and n_batches else "partial"


def _identity(result: Measured) -> Iterator[tuple[str, str]]:
    attrs = result.attrs
    yield "job", f"{job_id(result)} ({state(result)})".lstrip()
    for name, key in _FACTS:
        value = attrs.get(key)
        if value not in (None, "", []):
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    yield from _times(attrs)
    version = attrs.get("config_version", -1)
    settings = _settings(result.patch)
    said = [f"version {version}"] if version > 0 else []
    said += [f"changed: {settings}"] if settings else []
    if said:
        yield "settings", "; ".join(said)
    again = _time(attrs.get("reprocessed"))
    if again is not None:
        changed = _settings(result.chain_patch)
        yield (
            "processed",
            f"again {again:%Y-%m-%d %H:%M:%S} UTC, from {attrs.get('reprocessed_from')}"
            f"{f'; changed: {changed}' if changed else ''}",
        )


def _times(attrs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    started, finished = (_time(attrs.get(key)) for key in ("started", "finished"))
    if started is None:
        return
    took = f", took {(finished - started).total_seconds():.3g} s" if finished else ""
    yield "measured", f"{started:%Y-%m-%d %H:%M:%S} UTC{took}"


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def setting_texts(result: Measured) -> list[str]:
    """Return what the job changed of the default configuration, ``path = value`` each."""
    return _setting_texts(result.patch)


def _setting_texts(patch: Mapping[str, Any]) -> list[str]:
    return [f"{path} = {_plainly(value)}" for path, value in _leaves(patch)]


def _settings(patch: Mapping[str, Any]) -> str:
    told = _setting_texts(patch)
    more = f", and {len(told) - _MAX_SETTINGS} more" if len(told) > _MAX_SETTINGS else ""
    return ", ".join(told[:_MAX_SETTINGS]) + more


def _plainly(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}/")
        else:
            yield f"{above}{key}", value


def _data(result: Measured) -> Iterator[tuple[str, str]]:
    contents, n_reps = result.contents, result.attrs.get("n_reps")
    sizes = contents.sizes
    if contents.readouts:
        yield "readouts", ", ".join(contents.readouts)
    counts = {
        axis: f"{sizes[axis]} {axis}{'' if sizes[axis] == 1 else 's'}" for axis in _COUNTED if axis in sizes
    }
    if n_reps and "repetition" in sizes:
        counts["repetition"] += f" ({sizes['repetition'] // n_reps} x {n_reps})"
    if "element" in sizes:
        counts["element"] += f" of {contents.x_axis}"
    yield "data", ", ".join(counts.values())
    yield "variables", ", ".join(contents.variables)


def axis_label(name: str, unit: str) -> str:
    """Return ``pulse width (us)``: name and unit of an axis."""
    return name if unit in ("", "1") else f"{name} ({unit})"


def _findings(result: Measured) -> Iterator[tuple[str, str]]:
    for label, (low, high) in result.contents.excited.items():
        yield f"{label} excited", f"{low:.3f} to {high:.3f}"
    for label, kinds in result.fits.items():
        yield f"{label} fit", fit_text(kinds)


def fit_text(kinds: dict[str, Any]) -> str:
    """Return the best fit of one readout in one line, or why there is none."""
    best = kinds.get("best")
    if best is None:
        reasons = {record["reason"] for name, record in kinds.items() if name != "best"}
        return f"no fit: {'; '.join(sorted(reasons))}" if reasons else "no fit"
    parameters = kinds[best]["parameters"]
    told = [
        name
        for name in ("frequency", "frequency_2", "tau", "error_per_gate", "deviation", "amplitude")
        if name in parameters
    ]
    return f"{best}: " + ", ".join(f"{name} {quantity(**parameters[name])}" for name in told)


def quantity(value: float, error: float, unit: str) -> str:
    """Return ``10.116(3) MHz``: a value with its standard error in units of its last digits."""
    suffix = "" if unit == "1" else f" {unit}"
    if not (isfinite(value) and isfinite(error)) or error <= 0:
        return f"{value:.6g}{suffix}"
    exponent = floor(log10(error))
    if error / 10**exponent < 2.95:
        exponent -= 1
    if exponent >= 6 or exponent < -9:
        return f"{value:.6g} ± {error:.2g}{suffix}"
    if exponent >= 0:
        return f"{round(value, -exponent):.0f}({round(error, -exponent):.0f}){suffix}"
    digits = round(error / 10**exponent)
    return f"{value:.{-exponent}f}({digits}){suffix}"
