"""What a sequence means, written down slowly and plainly in float64.

Independent of the compiler: no numpy beyond arrays to hold numbers, no columns, no caches, every sample
of every pulse computed by the formula of the rules. The tests compare the compiler with it.
"""

import cmath
import math

import numpy as np


def total(value):
    return sum(value) if isinstance(value, (list, tuple)) else value


def product(value):
    return math.prod(value) if isinstance(value, (list, tuple)) else value


def rint(x):
    return round(x)


def edge_of(w, fraction):
    return math.floor(min(max(fraction, 0.0), 0.5) * w)


def envelope_sample(name, kw, x, w, rate):
    """One bare sample, before A exp(ip)."""
    if name in ("square", "mark"):
        return 1.0
    own = kw.get("sample_rate", rate)
    if name == "sin":
        return cmath.exp(1j * (2 * math.pi * kw.get("frequency", 0.0) * x / own - math.pi / 2))
    if name in ("gaussian", "DRAG"):
        s = w / (2 * kw.get("sigmas", 3))
        g = math.exp(-((x - w / 2) ** 2) / (2 * s * s))
        if name == "gaussian":
            return g
        slope = -(x - w / 2) / (s * s) * g
        d = 2 * math.pi * kw.get("delta", 260e6) / own
        turn = cmath.exp(2j * math.pi * kw.get("df", 0.0) * x / own)
        return turn * (g - 1j * kw.get("alpha", 0.5) * slope / d)
    if name in ("cos_square", "cos_square_fixed"):
        edge = edge_of(w, kw.get("ramp_fraction", 0.25))
        k = min(x, w - 1 - x)
        height = (1 - math.cos(math.pi * k / edge)) / 2 if k < edge else 1.0
        return height * cmath.exp(-2j * math.pi * kw.get("df", 0.0) * x / own)
    if name == "gauss_square":
        edge = edge_of(w, kw.get("ramp_fraction", 0.1))
        k = min(x, w - 1 - x)
        s = edge / kw.get("sigmas", 3)
        return math.exp(-((k - edge) ** 2) / (2 * s * s)) if k < edge else 1.0
    if name in ("hann", "cos_env"):
        return 1.0 if w == 1 else 0.5 - 0.5 * math.cos(2 * math.pi * x / (w - 1))
    if name == "half_sin":
        return 1.0 if w == 1 else math.sin(math.pi * x / (w - 1))
    if name == "arb":
        points = kw["points"]
        if x >= len(points):
            return 0.0
        return complex(*points[x]) if isinstance(points[x], (list, tuple)) else complex(points[x])
    raise KeyError(name)


def envelope(name, kw, w, rate):
    amplitude = product(kw.get("amplitude", 1.0)) * kw.get("global_amp", 1.0)
    phase = total(kw.get("phase", 0.0)) + kw.get("global_phase", 0.0)
    if name in ("cos_square", "cos_square_fixed"):
        amplitude = min(max(amplitude, -1.0), 1.0)
    factor = 1.0 if name == "mark" else amplitude * cmath.exp(1j * phase)
    return [factor * envelope_sample(name, kw, x, w, rate) for x in range(w)]


def overridden(component, overrides):
    """The component with fields replaced; kwargs merged."""
    properties = dict(component["envelope"]["properties"])
    result = {**component, "envelope": {**component["envelope"], "properties": properties}}
    for name, value in overrides.items():
        if name in ("freq", "channel", "subchannel"):
            result[name] = value
        elif name == "kwargs":
            properties["kwargs"] = {**properties.get("kwargs", {}), **value}
        else:
            properties[name] = value
    return result


def is_virtual(component):
    return component["envelope"]["type"] == "VirtualEnvelope"


def groups_of(pulse):
    if isinstance(pulse, dict):
        return [[pulse]]
    if all(isinstance(entry, dict) for entry in pulse):
        return [list(pulse)]
    return [group for entry in pulse for group in groups_of(entry)]


def elements_of(element, n):
    if element is None:
        return list(range(n))
    if isinstance(element, slice):
        return sorted(range(n)[element])
    if isinstance(element, int):
        return [range(n)[element]]
    return sorted({range(n)[int(entry)] for entry in element})


class Plain:
    """One append after the other; `array` puts it all together."""

    def __init__(self, n_elements, rate):
        self.n_elements, self.rate = n_elements, rate
        self.intervals = []  # (start, end, samples, elements or None for a constraint in every element)
        self.parts = []  # (component, elements, start, samples after start)
        self.count = 0

    def append(self, pulse, element=None, start=None, end=None, start_delay=0, end_delay=0, **overrides):
        self.count += 1
        made = f"ref{self.count}"
        return self._append(
            pulse,
            elements_of(element, self.n_elements),
            None,
            made,
            start,
            end,
            start_delay,
            end_delay,
            overrides,
        )

    def sweep(self, pulse, elements, columns, start=None, end=None):
        """One append per element; their references are one name with a place per element."""
        self.count += 1
        for i, element in enumerate(elements):
            values = {name: column[i] for name, column in columns.items()}
            names = self._append(
                pulse,
                [element],
                [element],
                f"ref{self.count}",
                start,
                end,
                values.pop("start_delay", 0),
                values.pop("end_delay", 0),
                values,
            )
        return names

    def _append(self, pulse, elements, only, made, start, end, start_delay, end_delay, overrides):
        if start is None and end is None:
            start = "Start"
        groups = [[overridden(part, overrides) for part in group] for group in groups_of(pulse)]
        begin = start or made
        first_begin = begin
        for number, group in enumerate(groups):
            last = number == len(groups) - 1
            if number == 0 and end is not None:
                finish = end
            elif last:
                finish = made if first_begin != made else made + ".end"
            else:
                finish = f"{made}#{number}"
            before, after = rint(start_delay * self.rate), rint(end_delay * self.rate)
            widths = [rint((part["envelope"]["properties"].get("width") or 0) * self.rate) for part in group]
            tick = max(widths)
            self.intervals.append((begin, finish, before + tick + after, only))
            for part, width in zip(group, widths, strict=True):
                self.parts.append((part, elements, begin, before + tick - width, width))
            begin = finish
        return first_begin, finish

    def places(self):
        at = {("Start", e): 0 for e in range(self.n_elements)}
        changed = True
        while changed:
            changed = False
            for start, end, n, only in self.intervals:
                for e in range(self.n_elements) if only is None else only:
                    a, b = at.get((start, e)), at.get((end, e))
                    if a is not None and b is None:
                        at[end, e], changed = a + n, True
                    elif b is not None and a is None:
                        at[start, e], changed = b - n, True
                    elif a is not None and b is not None and a + n != b:
                        raise ValueError("contradiction")
        low = min(at.values())
        return {key: value - low for key, value in at.items()}

    def array(self):
        at = self.places()
        real = [part for part, *_ in self.parts if not is_virtual(part)]
        channels = max([1, *(part["channel"] for part in real)]) + 1
        subchannels = max([0, *(part["subchannel"] for part in real)]) + 1
        out = np.zeros((channels, self.n_elements, max(at.values()), subchannels))
        turns = []
        for part, elements, start, offset, _ in self.parts:
            if is_virtual(part):
                phase = part["envelope"]["properties"]["phase"]
                turns += [(part["freq"] or 0.0, e, at[start, e] + offset, phase) for e in elements]
        for part, elements, start, offset, width in self.parts:
            if is_virtual(part):
                continue
            properties = part["envelope"]["properties"]
            shape = envelope(properties["env_func"], properties.get("kwargs", {}), width, self.rate)
            freq = part["freq"] or 0.0
            for e in elements:
                for k, value in enumerate(shape):
                    n = at[start, e] + offset + k
                    if part["subchannel"] == 0:
                        z = sum(phase for f, el, s, phase in turns if f == freq and el == e and s <= n)
                        value *= cmath.exp(1j * (2 * math.pi * freq * n / self.rate + z))
                    out[part["channel"], e, n, part["subchannel"]] += complex(value).real
        return out
