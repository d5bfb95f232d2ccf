"""``init`` and ``serve``: make a spool, run a server."""

from __future__ import annotations

import click

from qtrl_spool.cli.options import json_option, spool_option
from qtrl_spool.cli.say import document, fact, word
from qtrl_spool.host import login_name


@click.command()
@click.argument("folder", metavar="[DIR]", required=False)
@click.option(
    "--config", "config", metavar="DIR", help="Folder of YAML files: the first default configuration."
)
@spool_option
@json_option
def init(folder: str | None, config: str | None, spool: str, as_json: bool) -> None:
    """Make a spool in DIR (else in --spool, $QTRL_SPOOL or ./spool).

    Without --config its default configuration is the shipped one, a simulated chip of four qubits. The
    configuration is checked first; if anything is wrong with it, nothing is made.
    """
    from qtrl_spool.create import create_spool

    made = create_spool(folder or spool, config, who=login_name())
    for warning in made.warnings:
        word(f"warning: {warning}")
    if as_json:
        document({"spool": made.path, "documents": made.documents, "warnings": made.warnings})
        return
    fact(str(made.path))
    word(f"made a spool with the configuration of {made.config_from}")
    word(f"next: qtrl-spool serve --spool {made.path}")


@click.command()
@click.option("--drain", is_flag=True, help="End when nothing is queued, running or settling.")
@click.option(
    "--backend", metavar="NAME", default="simulator", show_default=True, help="What plays the jobs."
)
@click.option("--name", metavar="NAME", help="Of the server; else the host's.")
@click.option("--instrument", metavar="NAME", help="What it drives; else one of the server's name.")
@click.option("--standby", is_flag=True, help="Wait for the name, too, if another server bears it.")
@spool_option
def serve(
    drain: bool, backend: str, name: str | None, instrument: str | None, standby: bool, spool: str
) -> None:
    """Run a server until SIGTERM or Ctrl-C; its log goes to stderr.

    One server at a time drives an instrument: a second one on its host stands by, and takes over when the
    first is gone.

    When it is told to end, the running job pauses after its batch and goes on at the next start; told twice,
    the batch is given up.
    """
    import signal
    import socket
    import threading
    from functools import partial

    from qtrl_spool.backends import load_backend
    from qtrl_spool.server import Server
    from qtrl_spool.server.watching import try_the_rest
    from qtrl_spool.spool.layout import Layout

    _begin_log()
    _make_embedded(spool)
    load_backend(backend)
    server = Server(
        Layout.of(spool),
        name=socket.gethostname().partition(".")[0] if name is None else name,
        make_backend=partial(load_backend, backend),
        backend_name=backend,
        drain=drain,
        instrument=instrument,
        standby=standby,
    )
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: server.stop())
    threading.Thread(target=try_the_rest, args=(server.layout,), name="trials", daemon=True).start()
    server.run()
    word(f"server {server.name!r} has ended")


def _begin_log() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _make_embedded(spool: str) -> None:
    """Make the spool of a fresh checkout in its place."""
    from pathlib import Path

    from qtrl_spool.create import create_spool, is_embedded

    if is_embedded(Path(spool)):
        made = create_spool(spool, who=login_name())
        word(f"made the spool {made.path} with the configuration of {made.config_from}")
