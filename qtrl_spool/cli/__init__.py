"""The command ``qtrl-spool``: parse, call the library, print.

::

    command.py   the group of all verbs, each imported when it is used; errors become exit statuses
    options.py   the options that verbs share
    say.py       data on stdout, words on stderr
    tables.py    columns of text
    make.py      init, serve
    hand_in.py   submit, check
    look.py      queue, status, log, jobs
    fetch.py     wait, result
    steer.py     cancel, hold, release, move
    config.py    config show, set, apply, log, diff, rollback, validate
    live.py      top
    health.py    doctor
    demo.py      demo

Exit status: 0 fine, 1 the job or the check failed, 2 wrong usage, 3 no such spool, job or path,
4 timed out, 130 interrupted. ``docs/reference/commands.md`` documents every verb, which a test checks.

Known limits: ``--help``, ``status`` and ``queue`` must start within 100 ms of a bare Python, so nothing
on their way imports numpy, YAML or rich; a test looks at what they load.
"""

from qtrl_spool.cli.command import main, program

__all__ = ["main", "program"]
