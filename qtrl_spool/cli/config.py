"""``config``: the default configuration, read from files, updated through a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import assigned, json_option, opened, spool_option
from qtrl_spool.cli.say import document, fact, report, word
from qtrl_spool.cli.tables import table, when
from qtrl_spool.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from qtrl_spool.client import Spool
    from qtrl_spool.config import Configuration

_why = click.option("-m", "--reason", "reason", metavar="WHY", required=True, help="Why, for the log.")


@click.group()
def config() -> None:
    """Read and update the default configuration.

    A PATH is a document and keys with slashes: variables/Q6/freq.
    """


@config.command()
@click.argument("path", required=False)
@click.option("--version", "version", metavar="N", type=int, help="As it was at this version.")
@click.option("--effective", "job", metavar="JOB", help="As this job ran with it, patch included.")
@click.option("--why", "why", is_flag=True, help="Where each value at PATH comes from.")
@spool_option
@json_option
def show(
    path: str | None, version: int | None, job: str | None, why: bool, spool: str, as_json: bool
) -> None:
    """Show the configuration or the value at PATH, variables put in and derived ones made."""
    if why:
        _tell_why(spool, path, version, job, as_json)
        return
    found = _shown(spool, version, job)
    value = found if path is None else found[path.strip("/")]
    if as_json:
        document(_plain(value))
    else:
        fact(_text(value))


def _shown(spool: str, version: int | None, job: str | None) -> Any:
    from qtrl_spool.config.tree import Tree

    place = opened(spool)
    _refuse_both(version, job)
    if job is not None:
        return place.job(job).effective()
    return Tree(_default(place, version).effective)


def _tell_why(spool: str, path: str | None, version: int | None, job: str | None, as_json: bool) -> None:
    from qtrl_spool.config.lineage import origins

    if path is None:
        raise UsageError("--why needs a PATH", hint="such as variables/Q6/mod_freq")
    _refuse_both(version, job)
    place = opened(spool)
    found = place.job(job).configuration() if job is not None else _default(place, version)
    told = origins(found, path, place.config.log())
    if as_json:
        document([each.record() for each in told])
    else:
        fact("\n".join(line for each in told for line in each.lines()))


def _refuse_both(version: int | None, job: str | None) -> None:
    if job is not None and version is not None:
        raise UsageError("--version and --effective exclude each other", hint="give one of them")


def _default(place: Spool, version: int | None) -> Configuration:
    return place.config.current() if version is None else place.config.at(version)


def _plain(value: Any) -> Any:
    from qtrl_spool.config.tree import plain

    return plain(value)


def _text(value: Any) -> str:
    from qtrl_spool.config.edit import dump_yaml

    if isinstance(value, str):
        return value
    return dump_yaml(value).removesuffix("...\n").rstrip("\n")


@config.command("set")
@click.argument("settings", metavar="PATH=VALUE...", nargs=-1, required=True)
@_why
@click.option("--base", metavar="N", type=int, help="Refuse if a version came after N.")
@spool_option
@json_option
def set_(settings: tuple[str, ...], reason: str, base: int | None, spool: str, as_json: bool) -> None:
    """Change values: variables/Q6/freq=5.41e9; the values are YAML."""
    _update(spool, assigned(settings), reason, base, as_json)


@config.command()
@click.argument("words", metavar="FILE | PATH=fit.NAME...", nargs=-1, required=True)
@click.option("--from", "job", metavar="JOB", help="Put in what this job found: variables/Q6/t1=fit.tau.")
@_why
@click.option("--base", metavar="N", type=int, help="Refuse if a version came after N.")
@spool_option
@json_option
def apply(
    words: tuple[str, ...], job: str | None, reason: str, base: int | None, spool: str, as_json: bool
) -> None:
    """Merge the patch in a YAML file, or with --from what a job found."""
    from qtrl_spool.cli.wishes import read_patch

    if job is not None:
        _apply_found(spool, job, words, reason, base, as_json)
    elif len(words) == 1:
        _update(spool, read_patch(words[0]), reason, base, as_json)
    else:
        raise UsageError("one FILE, or --from JOB and settings", hint="several values: 'config set'")


def _apply_found(
    spool: str, job: str, words: tuple[str, ...], reason: str, base: int | None, as_json: bool
) -> None:
    from qtrl_spool.results.fitted import quantity
    from qtrl_spool.results.summary import quantity as shown

    place = opened(spool)
    measured = place.job(job)
    with measured.result() as result:
        found = result.fitted
    patch = assigned(words)
    values = {
        path: quantity(found, _named(path, value), f"job {measured.id}") for path, value in patch.items()
    }
    current = place.config.current()
    for path, each in values.items():
        if each.unit in ("s", "Hz"):
            current.merged({path: _like(patch[path], f"{each.value!r} {each.unit}")})
    patch = {path: _like(patch[path], each.value) for path, each in values.items()}
    version = place.config.update(patch, reason, base=base, job=measured.id)
    for path, each in values.items():
        word(f"{path}: {current.get(path)} → {shown(each.value, each.error, each.unit)}")
    _tell(place, current, version, as_json)


def _named(path: str, value: Any) -> str:
    """Return the quantity that a setting of ``apply --from`` names, such as ``fit.tau``."""
    from qtrl_spool.config.tree import New
    from qtrl_spool.results.fitted import PREFIX

    name = value.value if isinstance(value, New) else value
    if not isinstance(name, str) or not name.startswith(PREFIX):
        raise UsageError(
            f"{path}={name!r} is nothing that a job found",
            hint=f"name it {PREFIX}NAME; 'config set' sets values",
        )
    return name


def _like(setting: Any, value: Any) -> Any:
    """Return `value`, marked as new if the setting was."""
    from qtrl_spool.config.tree import New

    return New(value) if isinstance(setting, New) else value


def _update(spool: str, patch: Mapping[str, Any], reason: str, base: int | None, as_json: bool) -> None:
    place = opened(spool)
    old = place.config.current()
    _tell(place, old, place.config.update(patch, reason, base=base), as_json)


def _tell(place: Spool, old: Configuration, version: int, as_json: bool) -> None:
    """Say which version counts now, and what the lab should know of it and not of the old one."""
    from qtrl_spool.run import warnings_of

    if version == old.version:
        word(f"nothing changes: the default configuration, version {version}, has these values already")
        told = []
    else:
        word(f"the default configuration is version {version} now")
        told = [each for each in warnings_of(place.config.at(version)) if each not in warnings_of(old)]
    for warning in told:
        word(f"warning: {warning}")
    if as_json:
        document({"version": version, "warnings": told})


@config.command()
@spool_option
@json_option
def log(spool: str, as_json: bool) -> None:
    """Show every version: who made it, when and why."""
    entries = opened(spool).config.log()
    if as_json:
        document(entries)
        return
    rows = [
        (entry.get("version"), when(entry.get("when")), entry.get("who"), _story(entry)) for entry in entries
    ]
    fact(table(("VERSION", "WHEN", "WHO", "WHY"), rows))


def _story(entry: Mapping[str, Any]) -> str:
    if entry.get("version") is None:
        return f"refused: {str(entry.get('refused')).splitlines()[0]}"
    return f"{entry.get('why')} (job {entry['job']})" if entry.get("job") else str(entry.get("why"))


@config.command()
@click.argument("a", metavar="A", type=int)
@click.argument("b", metavar="[B]", type=int, required=False)
@spool_option
def diff(a: int, b: int | None, spool: str) -> None:
    """Show what changed from version A to version B (the one in force)."""
    found = opened(spool).config.diff(a, b)
    if found:
        fact(found)
    else:
        word("no value differs")


@config.command()
@click.argument("version", metavar="N", type=int)
@_why
@spool_option
@json_option
def rollback(version: int, reason: str, spool: str, as_json: bool) -> None:
    """Make a new version that equals version N."""
    place = opened(spool)
    old = place.config.current()
    _tell(place, old, place.config.rollback(version, reason=reason), as_json)


@config.command()
@click.argument("name", metavar="[DOCUMENT]", required=False)
@click.option("--to", "folder", metavar="DIR", help="Write all of them there, as DOCUMENT.schema.json.")
def schema(name: str | None, folder: str | None) -> None:
    """Print the JSON Schema of a document, for editors; needs no spool."""
    import json

    from qtrl_spool.config.schemas import json_schemas
    from qtrl_spool.errors import NotFoundError

    schemas = json_schemas()
    if folder is not None:
        _write_schemas(schemas, folder)
    elif name is None:
        raise UsageError("which one?", hint=f"name one of {', '.join(schemas)}, or write all with --to DIR")
    elif name not in schemas:
        raise NotFoundError(f"there is no schema of {name!r}", hint=f"there are {', '.join(schemas)}")
    else:
        fact(json.dumps(schemas[name], ensure_ascii=False, indent=1))


def _write_schemas(schemas: Mapping[str, Any], folder: str) -> None:
    import json
    from pathlib import Path

    from qtrl_spool import fs

    place = Path(folder).expanduser().absolute()
    fs.make_folder(place)
    for name, each in schemas.items():
        path = place / f"{name}.schema.json"
        fs.replace(path, json.dumps(each, ensure_ascii=False, indent=1).encode() + b"\n", mode=0o644)
        fact(str(path))


@config.command()
@click.argument("folder", metavar="[DIR]", required=False)
@spool_option
@json_option
def validate(folder: str | None, spool: str, as_json: bool) -> int:
    """Check a folder of YAML files; without DIR, the files of the spool as they are edited just now."""
    from pathlib import Path

    from qtrl_spool.config import load_config
    from qtrl_spool.run import warnings_of

    files = opened(spool).config.files if folder is None else Path(folder).expanduser()
    try:
        checked = load_config(files)
    except ConfigError as error:
        report(error)
        if as_json:
            problems = [each.record() for each in error.problems]
            document({"folder": files, "ok": False, "problems": problems, "warnings": []})
        return error.exit_status
    warnings = warnings_of(checked)
    for warning in warnings:
        word(f"warning: {warning}")
    if as_json:
        document({"folder": files, "ok": True, "problems": [], "warnings": warnings})
    else:
        fact(f"{files}: fine: {', '.join(checked.documents)}")
    return 0
