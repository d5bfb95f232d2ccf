"""Jobs as files: the only owner of the spool's paths, and of what lies there.

::

    layout.py      where everything lies          settings.py   spool.yaml
    drops.py       is it a drop, has it arrived   whole.py      what it says
    accepting.py   names on the way to the queue  tickets.py    the moves: where the ticket lies is the state
    journal.py     a job's home: events, status   snapshot.py   queue.json: the whole queue at a glance
    requests.py    what people ask, and answers   servers.py    heartbeats and locks
    find.py        answers about jobs, from files alone
"""
