"""Order numbers: a place between two others, without moving either of them.

A ticket's order number is a decimal: what the server gave at acceptance, 12, and, of a job that was moved
before another one, digits behind the point: 11.5 comes after 11 and before 12. So a job finds a new
place by one rename of its own ticket, whatever lies around it, and every number is still only a part of
a file's name: any server reads the same order from it, also after a restart.

Called by: ``server.verbs``. Pure.

Known limits: about three places between two neighbours cost a digit; after `MOST_DIGITS` (some 300
moves before the same job, none of which has run yet) there is none left, and the move is refused.
"""

from __future__ import annotations

MOST_DIGITS = 80

Order = tuple[int, str]
"""A whole number and the digits behind its point, no zero at their end; tuples compare as the numbers do."""


def between(lower: Order, upper: Order) -> Order | None:
    """Return the order number with the fewest digits between two, near the middle; None if there is no room.

    Parameters
    ----------
    lower, upper:
        Two order numbers, the smaller one first.
    """
    for n_digits in range(MOST_DIGITS + 1):
        first, last = _scaled(lower, n_digits) + 1, _scaled(upper, n_digits, up=True) - 1
        if first <= last:
            return _order((first + last) // 2, n_digits)
    return None


def _scaled(order: Order, n_digits: int, *, up: bool = False) -> int:
    """Return an order number times 10^`n_digits`, rounded down, or `up`."""
    whole, digits = order
    kept, lost = digits[:n_digits].ljust(n_digits, "0"), digits[n_digits:]
    return int(f"{whole}{kept}") + (1 if up and lost else 0)


def _order(scaled: int, n_digits: int) -> Order:
    digits = str(scaled).rjust(n_digits + 1, "0")
    whole, behind = (digits[:-n_digits], digits[-n_digits:]) if n_digits else (digits, "")
    return int(whole), behind.rstrip("0")
