"""Faults: what the spool promises, tried while everything around it breaks.

::

    tally.py      what came of trials: lost, twice, torn, undone, stuck
    promise.py    looks at a spool and says which promises it breaks; trusts none of the product's code
    rooms.py      a namespace of mounts, processes and network for each trial: it cleans up after itself
    forked.py     servers and trials in forked children, with deadlines
    injector.py   the n-th call of the file system fails, once or until it is healed, or kills
    scenarios.py  what is dropped and asked for, and what must follow
    beds.py       the same storage as several hosts see it: bindfs, ext4, xfs, GlusterFS, sshfs, lost replies

    sweep.py      every verb x every call x every errno
    storm.py      servers killed and frozen at random, on any bed
    powercut.py   the storage forgets what was not synced
    images.py     block devices that reorder and tear what was not flushed
    hardship.py   full disks, no inodes, read-only, clocks that are hours off, partitions, samba
    holding.py    a hold that is asked for while a server stops
    machine.py    the whole protocol against a plain model
    mutants.py    the protocol with one of its parts taken out, which must be noticed

``python -m tests.faults TRIAL --n N`` runs one of them and prints its tally as JSON; the tests and
``scripts/soak`` do the same with different counts.
"""
