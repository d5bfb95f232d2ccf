"""SI units by their usual names: ``30 * ns``, ``5.41 * GHz``.

Quantities in this package are plain floats in SI units (s, Hz, rad, V); these factors only make
the numbers readable.
"""

from __future__ import annotations

ps, ns, us, ms, s = 1e-12, 1e-9, 1e-6, 1e-3, 1.0
Hz, kHz, MHz, GHz = 1.0, 1e3, 1e6, 1e9
uV, mV, V = 1e-6, 1e-3, 1.0
