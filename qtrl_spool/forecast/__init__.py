"""When will it start? Learnt from what like jobs took, with a spread that was right before. Pure.

::

    kinds.py      which jobs are alike            learning.py   what they took, and how far off one was
    timetable.py  the queue played forward        sums.py       how far off sums of them were

Called by the server, which keeps what was learnt in ``servers/<name>.timings.json``. Needs neither numpy
nor a disk; times are in seconds from now.
"""
