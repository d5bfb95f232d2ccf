"""What the command says: facts on stdout for people and programs, words on stderr for people only."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from qtrl_spool.errors import ConfigError, QtrlSpoolError, harmless


def fact(text: str) -> None:
    """Print data."""
    click.echo(text)


def document(facts: Any) -> None:
    """Print facts as one JSON document; what would steer a terminal stands in it by its number."""
    text = json.dumps(facts, ensure_ascii=False, indent=1, default=_plain)
    if not text.replace("\n", "").isprintable():
        text = "".join(
            each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
        )
    click.echo(text)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def word(text: str) -> None:
    """Tell people something that is no data."""
    click.echo(harmless(text), err=True)


def picture(text: str) -> None:
    """Show people a table or a drawing of ours: nothing that others wrote is raw in it."""
    click.echo(text, err=True)


def complain(sentence: str) -> None:
    """Say what went wrong."""
    click.echo(f"qtrl-spool: {harmless(sentence)}", err=True)


def report(error: QtrlSpoolError) -> int:
    """Say every problem of an error, one sentence each, and return the exit status."""
    for each in getattr(error, "problems", (error,)):
        complain(str(each))
        if isinstance(each, ConfigError) and each.excerpt:
            word(each.excerpt)
    return error.exit_status


def refusal(error: QtrlSpoolError, **more: Any) -> None:
    """Print an error as a JSON document; ``problems`` lists them if there are several."""
    problems = [each.record() for each in getattr(error, "problems", ())]
    document({"error": error.record(), **({"problems": problems} if len(problems) > 1 else {}), **more})


def hush_libraries() -> None:
    """Keep matplotlib from telling where it keeps its cache, which is no business of who draws a result."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def is_terminal() -> bool:
    """Return whether a person reads stdout."""
    return sys.stdout.isatty()
