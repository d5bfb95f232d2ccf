"""The group of all verbs, and the end of every command: its exit status.

A verb's module is imported when the verb is used; what ``--help`` says of it stands here. This is
the one place where the command catches everything: an error of ours ends in one sentence, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool import __version__
from qtrl_spool.cli.say import complain, report
from qtrl_spool.errors import QtrlSpoolError, did_you_mean

if TYPE_CHECKING:
    from click import Command, Context, HelpFormatter

PROGRAM = "qtrl-spool"
INTERRUPTED = 130
_SHOW_TRACEBACK = "QTRL_SPOOL_TRACEBACK"

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin": {
        "demo": ("demo", "A spool, a server on the simulator, a few jobs and their plots."),
        "init": ("make", "Make a spool."),
        "serve": ("make", "Run a server."),
    },
    "Jobs": {
        "submit": ("hand_in", "Check, pack and queue jobs; prints their ids."),
        "check": ("hand_in", "Check jobs as submit does, and queue nothing."),
        "wait": ("fetch", "Wait until jobs have ended."),
        "result": ("fetch", "Show, find or draw what a job measured."),
        "cancel": ("steer", "Cancel jobs."),
        "hold": ("steer", "Park waiting jobs."),
        "release": ("steer", "Let held jobs run."),
        "move": ("steer", "Give a job another priority."),
    },
    "Look": {
        "queue": ("look", "What is running and waiting, in order."),
        "status": ("look", "Where a job is."),
        "log": ("look", "What happened to a job."),
        "jobs": ("look", "Find jobs, open and ended."),
        "top": ("live", "The queue and the servers, live."),
    },
    "Lab": {
        "config": ("config", "The default configuration, read and updated."),
        "doctor": ("health", "Try this storage and this spool, and say what to change."),
    },
}
VERBS = {verb: entry for section in SECTIONS.values() for verb, entry in section.items()}


class Verbs(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Return all verbs."""
        return list(VERBS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Return the command of one verb, imported now."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"qtrl_spool.cli.{VERBS[cmd_name][0]}")
        command: Command = getattr(module, cmd_name)
        return command

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Find the verb, or say which one was perhaps meant."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], VERBS) or f"'{PROGRAM} --help' lists them"
            raise click.UsageError(f"there is no command {args[0]!r} ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """List the verbs by section, without importing any."""
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb, line) for verb, (_, line) in verbs.items()])


@click.group(
    cls=Verbs,
    epilog="Every command takes --spool DIR; without it, $QTRL_SPOOL counts, then ./spool. "
    "Exit status: 0 fine, 1 the job or the check failed, 2 wrong usage, 3 no such spool, job or path, "
    "4 timed out.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def program() -> None:
    """Queue experiments on a shared quantum processor through nothing but a shared folder."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    arguments:
        The words after ``qtrl-spool``; None: those of this process.
    """
    try:
        status: Any = program.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        complain(_usage(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except QtrlSpoolError as error:
        return report(error)
    except Exception as error:
        if os.environ.get(_SHOW_TRACEBACK):
            raise
        complain(
            f"{type(error).__name__}: {error} (a mistake of ours: please report it with what "
            f"{_SHOW_TRACEBACK}=1 shows)"
        )
        return 1
    return status if isinstance(status, int) else 0


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else PROGRAM
    return f"{error.format_message().rstrip('.')} (see '{path} --help')"


def documented() -> Iterator[tuple[str, click.Command]]:
    """Return every command with its words, such as ``config set``, imported."""
    context = click.Context(program, info_name=PROGRAM)
    for verb in VERBS:
        command = program.get_command(context, verb)
        if isinstance(command, click.Group):
            yield from ((f"{verb} {name}", each) for name, each in command.commands.items())
        elif command is not None:
            yield verb, command
