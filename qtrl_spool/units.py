"""SI units by their usual names: ``30 * ns``, ``5.41 * GHz``.

Quantities in this package are plain floats in SI units (s, Hz, rad, V); these factors only make
the numbers readable.
"""

from __future__ import annotations

ps, ns, us, ms, s = 1e-12, 1e-9, 1e-6, 1e-3, 1.0
Hz, kHz, MHz, GHz = 1.0, 1e3, 1e6, 1e9
uV, mV, V = 1e-6, 1e-3, 1.0


def amount(n_bytes: int) -> str:
    """Return ``12 GB``, ``3.14 GB``, ``340 MB``."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if n_bytes >= 0.9995 * factor:
            return f"{n_bytes / factor:.3g} {unit}" if n_bytes < 1e15 else f"{n_bytes / factor:.0f} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
