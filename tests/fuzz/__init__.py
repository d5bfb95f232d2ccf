"""Inputs that nobody thought of, for everything that reads what others wrote.

`inputs` makes them from any `random.Random`, `targets` are the readers. ``python -m tests.fuzz --n 1000000``
gives them numbers from a seed; the tests give them Hypothesis's own, which can be made smaller.
"""
