"""The group of all verbs, and the end of every command: its exit status.

A verb's module is imported when the verb is used; what ``--help`` says of it stands here. This is
the one place where the command catches everything: an error of ours ends in one sentence, too. With
``--json`` it is a document on stdout as well, ``{"error": …}``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool import __version__
from qtrl_spool.cli.say import complain, refusal, report, word
from qtrl_spool.errors import InternalError, QtrlSpoolError, StorageError, UsageError, did_you_mean

if TYPE_CHECKING:
    from click import Command, Context, HelpFormatter

PROGRAM = "qtrl-spool"
INTERRUPTED = 130
_SHOW_TRACEBACK = "QTRL_SPOOL_TRACEBACK"
_BARE: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What newer versions of click raise for a group without a verb: its message is the help."""

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
        "result": ("fetch", "Show, find, draw or export what a job measured."),
        "process": ("fetch", "Process what a job measured once more, with another chain."),
        "retry": ("anew", "Submit jobs once more, changed where you say so."),
        "edit": ("anew", "Change jobs that wait."),
        "cancel": ("steer", "Cancel jobs."),
        "hold": ("steer", "Park waiting jobs."),
        "release": ("steer", "Let held jobs run."),
        "move": ("steer", "Give a job another priority."),
        "pause": ("steer", "Let no server take jobs, for admins."),
        "resume": ("steer", "End a pause."),
        "drain": ("steer", "Let servers end when nothing is left to run, for admins."),
    },
    "Look": {
        "queue": ("look", "What is running and waiting, in order."),
        "status": ("look", "Where a job is."),
        "log": ("look", "What happened to a job."),
        "jobs": ("look", "Find jobs, open and ended."),
        "top": ("live", "The queue, the servers and the running job's data, live."),
        "watch": ("live", "One job and its data, live."),
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
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status: Any = program.main(args=words, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get(_SHOW_TRACEBACK) and not isinstance(error, QtrlSpoolError | click.ClickException):
            raise
        return _refused(error, as_json=_wants_json(words))
    return status if isinstance(status, int) else 0


def _wants_json(words: Sequence[str]) -> bool:
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def _refused(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong, on stderr for people and as JSON on stdout where it is asked for."""
    if isinstance(error, _BARE) and not as_json:
        word(error.format_message())
        return UsageError.exit_status
    ours = _as_ours(error)
    if as_json:
        refusal(ours)
    return report(ours)


def _as_ours(error: Exception) -> QtrlSpoolError:
    """Return any error as one of this package's."""
    if isinstance(error, QtrlSpoolError):
        return error
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = PROGRAM if context is None else context.command_path
        said = "what shall be done?" if isinstance(error, _BARE) else error.format_message().rstrip(".")
        return UsageError(said, hint=f"see '{path} --help'")
    if isinstance(error, OSError):
        where = None if error.filename is None else str(error.filename)
        return StorageError(error.strerror or str(error), where=where)
    return InternalError(
        f"{type(error).__name__}: {error}",
        hint=f"a mistake of ours: please report it with what {_SHOW_TRACEBACK}=1 shows",
    )


def documented() -> Iterator[tuple[str, click.Command]]:
    """Return every command with its words, such as ``config set``, imported."""
    context = click.Context(program, info_name=PROGRAM)
    for verb in VERBS:
        command = program.get_command(context, verb)
        if isinstance(command, click.Group):
            yield from ((f"{verb} {name}", each) for name, each in command.commands.items())
        elif command is not None:
            yield verb, command
