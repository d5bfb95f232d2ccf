"""The server: looks at the spool, accepts, claims, runs one job at a time, answers.

::

    loop.py      the main loop: one step after another, woken by events, driven by scans
    intake.py    incoming/  → accepting/: which drops are whole
    acceptance.py           → queue/ or rejected/
    box.py       looking at a drop box again and again
    pipeline.py  which job is next, which acquires, which are being written; reports of the stages
    choosing.py  whose turn it is, and the order to run it
    stage.py     a stage: a thread, its inbox, its reports
    preparing.py, acquiring.py, finishing.py    the three stages in a row, and slot.py between the first two
    health.py    how the instrument is, and the pause of its queue while it is not well
    patience.py  how long a job or a backend may take
    ending.py    why a job stops, and what becomes of it
    outcome.py   what the worker reports → done, failed, cancelled, or back to queue/
    steering.py  requests/  → cancel, hold, release, move, configuration updates
    standby.py   who may serve under a name and drive an instrument, and who waits
    instrument.py           the lock of an instrument on its host
    recovery.py  what a server that died left behind
    wake.py      watchdog events, as hints
    watching.py  what the storage is, and how to notice what happens in it
"""

from qtrl_spool.server.loop import Server

__all__ = ["Server"]
