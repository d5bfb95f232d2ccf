"""``retry`` and ``edit``: a job once more, and other values in one that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import jobs_argument, json_option, named, opened, spool_option
from qtrl_spool.cli.steer import asking, each_job
from qtrl_spool.cli.wishes import manifest_of, patch_of, wishes
from qtrl_spool.errors import QtrlSpoolError, UsageError

if TYPE_CHECKING:
    from qtrl_spool.bundle import Bundle
    from qtrl_spool.client import Job

_MARK = "# ---- {} ----"
_HEAD = """\
# Job {id}.
# Save this text to change the job; leave it as it is, or empty it, to change nothing. A job that a server
# takes meanwhile stays as it is.
"""


@click.command()
@jobs_argument
@wishes
@click.option("--priority", metavar="P", help="10, urgent or 10-urgent; without it, the job's.")
@click.option("--hold", is_flag=True, help="Wait for 'qtrl-spool release'.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the end, as 'qtrl-spool wait' does.")
@spool_option
@json_option
def retry(
    jobs: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    priority: str | None,
    hold: bool,
    waits: bool,
    spool: str,
    as_json: bool,
    **told: Any,
) -> int:
    """Submit jobs once more, whatever became of them, with other values where some are given; print new ids.

    A new job is yours, and runs with the default configuration of its own day; 'submit --like' runs a job
    as it ran.
    """
    from qtrl_spool.cli.hand_in import queued

    place = opened(spool)
    if priority is not None:
        place.priority(priority)
    manifest = {**manifest_of(place, **told), "hold": hold or None}
    patch = patch_of(config, settings)
    found = named(place, jobs)
    packed = [(job.retried(patch, **manifest), priority or job.status()["priority"]) for job in found]
    return queued(place, packed, waits, as_json)


@click.command()
@jobs_argument
@wishes
@click.option(
    "--unset", metavar="KEY", multiple=True,
    help="Take a path out of the job's patch, or a key out of its manifest: --unset variables/Q6/freq.",
)  # fmt: skip
@asking
def edit(
    jobs: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    unset: tuple[str, ...],
    spool: str,
    as_json: bool,
    timeout: float,
    no_wait: bool,
    **told: Any,
) -> int:
    """Change the patch and the manifest of jobs that wait; without an option, in your $EDITOR.

    What could not run is refused, and nothing is changed then. A job that a server takes in the same
    moment stays as it is.
    """
    place = opened(spool)
    patch = patch_of(config, settings)
    given = {key: value for key, value in manifest_of(place, **told).items() if value is not None}
    how: dict[str, Any] = {"spool": spool, "as_json": as_json, "timeout": timeout, "no_wait": no_wait}
    if patch or given or unset:
        return each_job(lambda job, wait: job.edit(patch, unset=unset, timeout=wait, **given), jobs, **how)
    if len(jobs) > 1:
        raise UsageError("only one job can be edited as a text", hint="name one, or give options")
    return each_job(_in_editor, jobs, **how)


def _in_editor(job: Job, timeout: float) -> str:
    """Let a person change a job's text and ask for what was changed; return the answer in words."""
    bundle, base = job.bundle(), job.bundle_sha256()
    text = text_of(job.id, bundle)
    try:
        changed = click.edit(text, extension=".yaml")
    except click.ClickException as error:
        raise UsageError(
            f"no editor can be used here: {error.message}",
            hint="name yours in the variable EDITOR, or change the job with --set, --config and --unset",
        ) from None
    if changed is None or changed == text or not changed.strip():
        return f"{job.id} stays as it is"
    try:
        manifest, patch = _said(changed, bundle)
        return job.edit(patch=patch, base=base, timeout=timeout, **manifest)
    except QtrlSpoolError as error:
        error.add_remedy(f"your text is kept in {_kept(job.id, changed)}")
        raise


def text_of(job_id: str, bundle: Bundle) -> str:
    """Return what a person edits: the manifest and the patch of a job, as they are."""
    from qtrl_spool.bundle import dump_patch

    manifest = {key: value for key, value in bundle.manifest.to_dict().items() if key not in _UNTOLD}
    job = dump_patch(manifest) if manifest else "{}\n"
    patch = bundle.patch_text or (dump_patch(bundle.patch) if bundle.patch else "{}\n")
    parts = (_MARK.format("job.yaml"), job, _MARK.format("config.yaml, the patch"), patch)
    return "\n".join([_HEAD.format(id=job_id), *(each.rstrip("\n") for each in parts)]) + "\n"


_UNTOLD = ("format", "hold", "user")


def _said(text: str, bundle: Bundle) -> tuple[dict[str, Any], str]:
    """Return the manifest's keys that differ, None for one that was taken out, and the text of the patch."""
    from collections.abc import Mapping

    from qtrl_spool.config.yaml12 import parse_yaml

    _, found, rest = text.partition(_MARK.format("job.yaml"))
    job, also, patch = rest.partition(_MARK.format("config.yaml, the patch"))
    if not found or not also:
        raise UsageError(
            "the lines with ---- have gone", hint="they tell the manifest and the patch apart: keep them"
        )
    tree = parse_yaml(job, "job.yaml") or {}
    if not isinstance(tree, Mapping):
        raise UsageError("job.yaml is no mapping", hint="write one key a line: n_reps: 500")
    old = bundle.manifest.to_dict()
    given = {key: value for key, value in tree.items() if old.get(key) != value}
    gone = {key: None for key in old if key not in tree and key not in _UNTOLD}
    return {**gone, **given}, patch.lstrip("\n")


def _kept(job_id: str, text: str) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{job_id}-", suffix=".yaml", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return file.name
