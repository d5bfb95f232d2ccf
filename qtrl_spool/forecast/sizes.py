"""How the time of a batch goes with its size: so much for arming, so much for each shot. Pure.

A first guess for shapes that never ran. It is fitted to the shapes that ran last, one point each, such
that the mean of the squared logarithms of the ratios is least: a shape that takes ten times as long
weighs as much as any.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

_FIRST_ARM_S, _FIRST_SHOT_S = 0.02, 200e-6
_MOST_POINTS = 60
_STEPS = 6
_HOLD = 0.1
"""How much the first guess counts, as if it had been seen in so many shapes."""
_FAR = 3.0


class Size(NamedTuple):
    """What a batch takes: ``arm_s`` and ``shot_s`` for each shot, both as logarithms of s."""

    arm: float = math.log(_FIRST_ARM_S)
    shot: float = math.log(_FIRST_SHOT_S)

    def guess_s(self, shots: int, least_s: float = 0.0) -> float:
        """Return what a batch of so many shots takes, s."""
        return max(math.exp(self.arm) + math.exp(self.shot) * shots, least_s)


class Sizes:
    """The shapes that ran last, and the `Size` that fits them."""

    def __init__(self) -> None:
        self._points: OrderedDict[int, float] = OrderedDict()
        self.size = Size()

    def observe(self, shots: int, batch_s: float) -> None:
        """Take in what a batch of so many shots took."""
        self._points[shots] = math.log(batch_s)
        self._points.move_to_end(shots)
        while len(self._points) > _MOST_POINTS:
            self._points.popitem(last=False)
        for _ in range(_STEPS):
            self.size = _better(self.size, self._points.items())

    def copy(self) -> Sizes:
        """Return sizes that learn apart from now on."""
        other = Sizes()
        other._points, other.size = self._points.copy(), self.size
        return other

    def to_list(self) -> list[list[float]]:
        """Return the points as JSON can hold them."""
        return [[shots, float(f"{log:.5g}")] for shots, log in self._points.items()]


def sizes_from(told: object) -> Sizes:
    """Return what `Sizes.to_list` returned once; what in it cannot be is left out."""
    found = Sizes()
    for each in told if isinstance(told, list) else ():
        if _is_point(each):
            found.observe(each[0], math.exp(each[1]))
    return found


def _is_point(told: Any) -> bool:
    if not isinstance(told, list) or len(told) != 2:
        return False
    shots, log = told
    return isinstance(shots, int) and 0 < shots < 10**12 and isinstance(log, int | float) and abs(log) < 30


def _better(size: Size, points: Iterable[tuple[int, float]]) -> Size:
    """Return the size after one step of a least-squares fit in logarithms, held to the first guess."""
    first = Size()
    aa, as_, ss = _HOLD, 0.0, _HOLD
    ra, rs = _HOLD * (first.arm - size.arm), _HOLD * (first.shot - size.shot)
    arm_s, shot_s = math.exp(size.arm), math.exp(size.shot)
    for shots, log in points:
        whole = arm_s + shot_s * shots
        part = arm_s / whole
        error = max(-_FAR, min(_FAR, log - math.log(whole)))
        aa, as_, ss = aa + part**2, as_ + part * (1 - part), ss + (1 - part) ** 2
        ra, rs = ra + part * error, rs + (1 - part) * error
    determinant = aa * ss - as_**2
    arm, shot = (ss * ra - as_ * rs) / determinant, (aa * rs - as_ * ra) / determinant
    return Size(size.arm + max(-1.0, min(1.0, arm)), size.shot + max(-1.0, min(1.0, shot)))
