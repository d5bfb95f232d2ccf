"""How a spool is made: checked first, ``spool.yaml`` last."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.create import create_spool, is_embedded
from qtrl_spool.errors import ConfigError, StorageError
from qtrl_spool.shipped import default_config_folder
from qtrl_spool.spool.layout import FIRST_PRIORITIES, Layout

NOW = datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)


def config(folder: Path, **changed: str | None) -> Path:
    """Return a copy of the shipped configuration with other texts; None leaves a document out."""
    folder.mkdir()
    for file in default_config_folder().glob("*.yaml"):
        text = changed.get(file.stem, file.read_text())
        if text is not None:
            (folder / file.name).write_text(text)
    return folder


def test_a_new_spool_has_every_directory_and_priority(tmp_path: Path) -> None:
    layout = Layout(create_spool(tmp_path / "new", who="ada").path)
    assert all(folder.is_dir() for folder in layout.folders)
    assert list(layout.priorities()) == list(FIRST_PRIORITIES)


def test_the_drop_boxes_are_sticky_and_group_writable(tmp_path: Path) -> None:
    layout = Layout(create_spool(tmp_path / "new", who="ada").path)
    modes = {box.stat().st_mode & 0o7777 for box in layout.drop_boxes}
    assert modes == {0o3775}


def test_version_1_says_who_made_it_and_when(tmp_path: Path) -> None:
    spool = Spool(create_spool(tmp_path / "new", who="ada", now=NOW).path)
    (entry,) = spool.config.log()
    assert (entry["version"], entry["who"], entry["when"]) == (1, "ada", "2026-11-23T10:15:30.000000Z")


def test_files_keep_their_names_and_their_texts(tmp_path: Path, lab_config: Path) -> None:
    spool = Spool(create_spool(tmp_path / "new", lab_config, who="ada").path)
    kept = {file.name: file.read_bytes() for file in spool.config.files.glob("*.yaml")}
    given = {file.name: file.read_bytes() for file in lab_config.glob("*.yaml")}
    assert {name: kept[name] for name in given} == given


def test_a_configuration_without_a_simulated_chip_gets_one(tmp_path: Path) -> None:
    folder = config(tmp_path / "lab", simulator=None)
    spool = Spool(create_spool(tmp_path / "new", folder, who="ada").path)
    assert spool.config["simulator/chip/Q1/freq"] == spool.config["variables/Q1/freq"]


def test_a_configuration_with_a_simulated_chip_keeps_it(tmp_path: Path) -> None:
    folder = config(tmp_path / "lab")
    spool = Spool(create_spool(tmp_path / "new", folder, who="ada").path)
    assert (spool.config.files / "simulator.yaml").read_bytes() == (folder / "simulator.yaml").read_bytes()


def test_nothing_is_made_when_the_configuration_is_wrong(tmp_path: Path) -> None:
    folder = config(tmp_path / "lab", variables="Q1: {freq: [\n")
    with pytest.raises(ConfigError):
        create_spool(tmp_path / "new", folder, who="ada")
    assert not (tmp_path / "new").exists()


def test_a_spool_is_never_made_over_another(tmp_path: Path) -> None:
    create_spool(tmp_path / "new", who="ada")
    with pytest.raises(StorageError, match="there is a spool"):
        create_spool(tmp_path / "new", who="bob")


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StorageError, match=r"thesis\.tex"):
        create_spool(tmp_path, who="ada")
    assert fs.names(tmp_path) == ["thesis.tex"]


def test_jobs_without_spool_yaml_are_left_alone(tmp_path: Path) -> None:
    root = create_spool(tmp_path / "new", who="ada").path
    (root / "jobs" / "2026-11-23").mkdir()
    (root / "spool.yaml").unlink()
    with pytest.raises(StorageError, match="holds jobs"):
        create_spool(root, who="ada")


class Death(BaseException):
    """The process dies."""


@pytest.mark.parametrize("survived", range(0, 40, 3))
def test_a_death_at_any_change_of_the_disk_leaves_no_spool_and_making_it_again_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    root, left = tmp_path / "new", survived

    def dying(real):  # type: ignore[no-untyped-def]
        def change(*arguments, **options):  # type: ignore[no-untyped-def]
            nonlocal left
            left -= 1
            if left < 0:
                raise Death
            return real(*arguments, **options)

        return change

    with monkeypatch.context() as patched:
        for name in ("replace", "move", "make_folder", "append_line", "remove"):
            patched.setattr(fs, name, dying(getattr(fs, name)))
        try:
            create_spool(root, who="ada")
        except Death:
            assert not (root / "spool.yaml").exists()
    if not (root / "spool.yaml").exists():
        create_spool(root, who="bob")
    assert [entry["version"] for entry in Spool(root).config.log()] == [1]


def test_a_directory_with_nothing_but_a_readme_is_the_spool_of_a_fresh_checkout(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    assert is_embedded(tmp_path)


def test_an_empty_directory_is_not_the_spool_of_a_fresh_checkout(tmp_path: Path) -> None:
    assert not is_embedded(tmp_path)
