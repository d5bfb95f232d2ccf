"""The versions of the default: every change counts once or not at all, whatever dies in between."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.errors import (
    ConfigConflictError,
    ConfigError,
    NotFoundError,
    PatchError,
    PolicyError,
    StorageError,
)

NOW = "2026-11-23T10:00:00.000000Z"
LATER = "2026-11-23T10:00:05.000000Z"
VARIABLES = """\
Q1:                  # the left one
  freq: 5.4e9        # Hz
  anharmonicity: -2.7e8
  amp: 0.25
  mod_freq: -1.0e8
hardware: {qubit_LO: 5.5e9}
"""
TEXTS = {"Variables.yaml": VARIABLES, "DAC.yaml": "clock_delay: 500000  # ns\n"}


@pytest.fixture
def store(tmp_path: Path) -> ConfigStore:
    return ConfigStore.create(tmp_path / "config", TEXTS, who="ada", why="the first", now=NOW)


def updated(
    store: ConfigStore, patch: dict[str, Any], base: int | None = None, why: str = "why"
) -> Configuration:
    return store.update(patch, base=base, who="bob", why=why, now=NOW)


def edit(store: ConfigStore, name: str, old: str, new: str) -> None:
    path = store.folder / "current" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def current_texts(store: ConfigStore) -> dict[str, str]:
    folder = store.folder / "current"
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix == ".yaml"}


def test_the_first_version_is_the_files_as_they_are(store: ConfigStore) -> None:
    assert store.current().version == 1 and current_texts(store) == TEXTS


def test_a_store_is_not_made_twice(store: ConfigStore) -> None:
    with pytest.raises(ConfigError, match="already"):
        ConfigStore.create(store.folder, TEXTS, who="x", why="y", now=NOW)


def test_a_store_is_not_made_of_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        ConfigStore.create(tmp_path, {"DAC.yaml": "clock_delay: x\n"}, who="x", why="y", now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_the_present_configuration_is_not_read_again_while_nothing_changes(store: ConfigStore) -> None:
    assert store.current() is store.current()


def test_an_update_changes_its_value_and_no_other_byte(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.26})
    assert current_texts(store) == {**TEXTS, "Variables.yaml": VARIABLES.replace("0.25", "0.26")}


def test_another_reader_sees_an_update(store: ConfigStore) -> None:
    reader = ConfigStore(store.folder)
    assert reader.current().version == 1
    updated(store, {"variables/Q1/freq": 5.41e9})
    assert reader.current().version == 2 and reader.current()["variables/Q1/mod_freq"] == -9e7


def test_an_update_keeps_only_what_it_changed(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.26})
    assert sorted(os.listdir(store.folder / "versions" / "2")) == ["Variables.yaml", "version.json"]


def test_the_log_says_who_when_why_and_what(store: ConfigStore) -> None:
    new = store.update({"variables/Q1/amp": 0.26}, base=1, who="bob", why="fit", now=LATER, job="j1")
    entry = store.log()[-1]
    assert {key: entry[key] for key in ("version", "who", "why", "when", "sha256", "job", "changes")} == {
        "version": 2,
        "who": "bob",
        "why": "fit",
        "when": LATER,
        "sha256": new.sha256,
        "job": "j1",
        "changes": [{"path": "variables/Q1/amp", "old": 0.25, "new": 0.26}],
    }


def test_an_update_that_changes_nothing_is_no_version(store: ConfigStore) -> None:
    assert updated(store, {"variables/Q1/amp": 0.25}).version == 1 and len(store.log()) == 1


def test_an_update_needs_a_reason(store: ConfigStore) -> None:
    with pytest.raises(ConfigError, match="reason"):
        updated(store, {"variables/Q1/amp": 0.26}, why=" ")


def test_a_second_writer_gets_a_conflict_that_names_the_other_change(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.26}, base=1, why="recalibrated")
    with pytest.raises(ConfigConflictError, match=r"bob \(recalibrated\): variables/Q1/amp: 0.25 → 0.26"):
        updated(store, {"variables/Q1/amp": 0.27}, base=1)
    assert store.current()["variables/Q1/amp"] == 0.26


def test_a_base_that_is_not_there_is_refused(store: ConfigStore) -> None:
    with pytest.raises(NotFoundError):
        updated(store, {"variables/Q1/amp": 0.27}, base=7)


def test_a_refused_update_changes_nothing(store: ConfigStore) -> None:
    with pytest.raises(PatchError):
        updated(store, {"variables/Q1/amq": 0.27})
    assert store.current().version == 1 and current_texts(store) == TEXTS


def test_a_new_document_becomes_a_file(store: ConfigStore) -> None:
    updated(store, {"devices": {"$new": {"LOs": {"drive": {"address": "GPIB0::24"}}}}})
    assert ConfigStore(store.folder).current()["devices/LOs/drive/address"] == "GPIB0::24"


def test_a_document_can_be_taken_out(store: ConfigStore) -> None:
    updated(store, {"dac": {"$delete": True}})
    assert set(current_texts(store)) == {"Variables.yaml"} and store.refresh(now=LATER) is None


def _only_ada(uid: int, changes: Any) -> None:
    if uid != 7:
        raise PolicyError("only ada", where=changes[0]["path"])


def test_the_guard_is_asked_before_an_update_counts(store: ConfigStore) -> None:
    store.guard = _only_ada
    with pytest.raises(PolicyError):
        store.update({"variables/Q1/amp": 0.26}, base=1, who="bob", uid=8, why="why", now=NOW)
    assert store.current().version == 1 and current_texts(store) == TEXTS


def test_the_guard_is_asked_before_a_rollback_counts(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.26})
    store.guard = _only_ada
    with pytest.raises(PolicyError):
        store.rollback(1, who="bob", uid=8, why="why", now=NOW)
    assert store.current().version == 2


@pytest.mark.parametrize("by_hand", [True, False])
def test_an_edit_in_the_moment_in_which_another_change_is_taken_counts_too(
    store: ConfigStore, by_hand: bool
) -> None:
    def meanwhile(uid: int | None, found: object) -> None:
        store.guard = lambda uid, found: None
        edit(store, "Variables.yaml", "amp: 0.25", "amp: 0.26")

    store.refresh(now=NOW)
    store.guard = meanwhile
    if by_hand:
        edit(store, "DAC.yaml", "500000", "700000")
        store.refresh(now=NOW)
    else:
        store.update({"dac/clock_delay": 700000}, base=None, uid=0, who="bob", why="why", now=NOW)
    store.refresh(now=LATER)
    assert store.current()["dac/clock_delay"] == 700000 and store.current()["variables/Q1/amp"] == 0.26


def test_an_edit_by_hand_that_the_guard_refuses_is_told_and_does_not_count(store: ConfigStore) -> None:
    store.guard = _only_ada
    edit(store, "DAC.yaml", "500000", "600000")
    assert "dac/clock_delay: only ada" in str(store.refresh(now=NOW))
    assert store.current().version == 1 and "only ada" in store.log()[-1]["refused"]


def test_the_log_has_the_number_of_the_user(store: ConfigStore) -> None:
    store.update({"variables/Q1/amp": 0.26}, base=1, who="ada", uid=7, why="why", now=NOW)
    edit(store, "DAC.yaml", "500000", "600000")
    store.refresh(now=NOW)
    assert [entry.get("uid") for entry in store.log()] == [None, 7, os.getuid()]


def test_a_rollback_is_a_new_version_equal_to_the_old_one(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.26})
    back = store.rollback(1, who="eve", why="worse", now=NOW)
    assert (back.version, back.sha256) == (3, store.version(1).sha256) and current_texts(store) == TEXTS


def test_a_rollback_to_what_is_not_there_is_refused(store: ConfigStore) -> None:
    with pytest.raises(NotFoundError):
        store.rollback(9, who="eve", why="x", now=NOW)


def test_every_version_can_be_read(store: ConfigStore) -> None:
    for n in range(5):
        updated(store, {"variables/Q1/amp": 0.3 + n})
    assert [store.version(n)["variables/Q1/amp"] for n in range(1, 7)] == [0.25, 0.3, 1.3, 2.3, 3.3, 4.3]


def test_the_difference_of_two_versions_is_told_path_by_path(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.26, "variables/Q1/t1": {"$new": 1e-5}})
    assert store.diff(1) == "variables/Q1/amp: 0.25 → 0.26\nvariables/Q1/t1: added, 1e-05"
    assert store.diff(2, 1) == "variables/Q1/amp: 0.26 → 0.25\nvariables/Q1/t1: removed, it was 1e-05"


def test_an_edit_by_hand_becomes_a_version(store: ConfigStore) -> None:
    edit(store, "Variables.yaml", "0.25", "0.26")
    assert store.refresh(now=NOW) is None
    assert store.current()["variables/Q1/amp"] == 0.26 and "edited by hand" in store.log()[-1]["why"]


def test_an_edit_of_a_comment_is_kept_through_the_next_update(store: ConfigStore) -> None:
    edit(store, "Variables.yaml", "the left one", "the right one")
    store.refresh(now=NOW)
    updated(store, {"variables/Q1/amp": 0.26})
    assert "the right one" in current_texts(store)["Variables.yaml"]


def test_an_edit_by_hand_counts_before_an_update(store: ConfigStore) -> None:
    edit(store, "DAC.yaml", "500000", "600000")
    new = updated(store, {"variables/Q1/amp": 0.26})
    assert (new.version, new["dac/clock_delay"]) == (3, 600000)


@pytest.mark.parametrize("new", ["fast", "[", "-1"])
def test_a_bad_edit_is_refused_with_its_place_and_the_last_good_one_stays(
    store: ConfigStore, new: str
) -> None:
    edit(store, "DAC.yaml", "500000", new)
    sentence = store.refresh(now=NOW)
    assert sentence is not None and "DAC.yaml:" in sentence and store.current().version == 1


def test_a_bad_edit_is_in_the_log_once(store: ConfigStore) -> None:
    edit(store, "DAC.yaml", "500000", "fast")
    for _ in range(3):
        store.refresh(now=NOW)
    ConfigStore(store.folder).refresh(now=LATER)
    assert [entry["version"] for entry in store.log()] == [1, None]


def test_a_bad_edit_that_is_mended_counts(store: ConfigStore) -> None:
    edit(store, "DAC.yaml", "500000", "fast")
    store.refresh(now=NOW)
    edit(store, "DAC.yaml", "fast", "700000")
    assert store.refresh(now=NOW) is None and store.current()["dac/clock_delay"] == 700000


def test_an_update_does_not_write_over_a_bad_edit(store: ConfigStore) -> None:
    edit(store, "DAC.yaml", "500000", "fast")
    with pytest.raises(ConfigError, match=r"DAC\.yaml holds an edit"):
        updated(store, {"dac/clock_delay": 5})
    assert "fast" in current_texts(store)["DAC.yaml"]


def test_a_bad_edit_of_one_file_does_not_stop_updates_of_another(store: ConfigStore) -> None:
    edit(store, "DAC.yaml", "500000", "fast")
    assert updated(store, {"variables/Q1/amp": 0.26}).version == 2


def test_a_derived_variable_is_not_edited_by_hand(store: ConfigStore) -> None:
    edit(store, "Variables.yaml", "mod_freq: -1.0e8", "mod_freq: -2.0e8")
    assert "set variables/Q1/freq" in str(store.refresh(now=NOW))


def test_a_file_that_is_cut_short_counts_only_when_it_has_stood_still(store: ConfigStore) -> None:
    seconds = iter([100.0, 101.9, 102.0])
    server = ConfigStore(store.folder, settle_s=2.0, clock=lambda: next(seconds))
    path = store.folder / "current" / "Variables.yaml"
    path.write_text(VARIABLES[: VARIABLES.index("hardware")])
    for _ in range(2):
        assert "takes something away" in str(server.refresh(now=NOW))
        assert server.current().version == 1
    assert server.refresh(now=NOW) is None and server.current().version == 2


def test_a_wall_clock_that_jumps_makes_no_file_stand_still(store: ConfigStore) -> None:
    path = store.folder / "current" / "Variables.yaml"
    path.write_text(VARIABLES[: VARIABLES.index("hardware")])
    store.refresh(now=NOW)

    assert "takes something away" in str(store.refresh(now="2027-11-23T10:00:00.000000Z"))


def test_a_file_that_was_only_half_written_counts_as_a_whole(store: ConfigStore) -> None:
    path = store.folder / "current" / "Variables.yaml"
    new = VARIABLES.replace("0.25", "0.26")
    path.write_text(new[:60])
    store.refresh(now=NOW)
    path.write_text(new)
    assert store.refresh(now=NOW) is None
    assert [entry["version"] for entry in store.log()] == [1, 2] and store.current()[
        "variables/Q1/amp"
    ] == 0.26


def test_a_file_that_is_gone_is_missed(store: ConfigStore) -> None:
    (store.folder / "current" / "DAC.yaml").unlink()
    assert "gone" in str(store.refresh(now=NOW)) and store.current().version == 1


def test_a_new_file_by_hand_is_a_document(store: ConfigStore) -> None:
    (store.folder / "current" / "Devices.yaml").write_text("SA: {address: 18}\n")
    assert store.refresh(now=NOW) is None and store.current()["devices/SA/address"] == 18


def test_a_kept_file_that_was_changed_is_not_trusted(store: ConfigStore) -> None:
    (store.folder / "versions" / "1" / "DAC.yaml").write_text("clock_delay: 1\n")
    with pytest.raises(StorageError, match="not as it was kept"):
        ConfigStore(store.folder).current()


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="init"):
        ConfigStore(tmp_path).current()


class Died(BaseException):
    """The process ends here."""


_CALLS = ("open", "replace", "rename", "mkdir", "unlink", "fsync")


def dies_at(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Let the process die before its n-th call of the operating system that opens or changes a file."""
    left = [n]

    def guarded(call: Any) -> Any:
        def guard(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Died
            return call(*args, **kwargs)

        return guard

    for name in _CALLS:
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))


CHANGES: dict[str, Any] = {
    "update": lambda store: updated(store, {"variables/Q1/amp": 0.26, "dac/clock_delay": 7}),
    "update that takes out": lambda store: updated(store, {"dac": {"$delete": True}}),
    "rollback": lambda store: store.rollback(1, who="eve", why="x", now=NOW),
    "edit by hand": lambda store: (edit(store, "DAC.yaml", "ns", "nanoseconds"), store.refresh(now=NOW)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_death_at_any_step_leaves_the_old_version_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    for n in range(500):
        store = ConfigStore.create(tmp_path / str(n), TEXTS, who="ada", why="x", now=NOW, durable=n % 2 == 0)
        updated(store, {"variables/Q1/amp": 0.3})
        before = store.current().sha256
        with monkeypatch.context() as dying:
            dies_at(dying, n)
            try:
                CHANGES[change](store)
                died = False
            except Died:
                died = True
        _check_after_a_death(ConfigStore(store.folder), before)
        if not died:
            return
    raise AssertionError("never came to an end")


def _check_after_a_death(store: ConfigStore, before: str) -> None:
    found = store.current()
    assert found.version == 3 or (found.version == 2 and found.sha256 == before)
    assert store.refresh(now=NOW) is None
    newest = store.current().version or 0
    assert current_texts(store) == store.texts(newest)
    assert [entry["version"] for entry in store.log()] == list(range(1, newest + 1))


def test_a_torn_line_of_the_log_is_told_again(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.3})
    log = store.folder / "log.jsonl"
    log.write_text(log.read_text()[:-30])
    assert [entry["version"] for entry in ConfigStore(store.folder).log()] == [1, 2]


def test_the_record_of_a_version_is_plain_json(store: ConfigStore) -> None:
    record = json.loads((store.folder / "versions" / "1" / "version.json").read_text())
    assert record["format"] == "qtrl-config-version/1" and set(record["files"]) == set(TEXTS)


class Anything(RuleBasedStateMachine):
    """Updates, edits, rollbacks and restarts in any order, against a plain list of values."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.place = tempfile.TemporaryDirectory()
        folder = Path(self.place.name) / "config"
        self.store = ConfigStore.create(folder, TEXTS, who="a", why="b", now=NOW, durable=False)
        self.model = [0.25]

    @rule(value=st.integers(1, 5))
    def update(self, value: int) -> None:
        if value != self.model[-1]:
            self.model.append(value)
        updated(self.store, {"variables/Q1/amp": value})

    @rule(value=st.integers(1, 5))
    def stale_update(self, value: int) -> None:
        if len(self.model) > 1:
            with pytest.raises(ConfigConflictError):
                updated(self.store, {"variables/Q1/amp": value}, base=len(self.model) - 1)

    @rule(value=st.integers(1, 5), n=st.integers(0, 99))
    def edit(self, value: int, n: int) -> None:
        path = self.store.folder / "current" / "Variables.yaml"
        lines = [
            f"  amp: {value}  # {n}" if "amp:" in line else line for line in path.read_text().splitlines()
        ]
        text = "\n".join(lines) + "\n"
        if text != path.read_text():
            path.write_text(text)
            self.model.append(value)
        assert self.store.refresh(now=NOW) is None

    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(1, len(self.model)))
        self.store.rollback(n, who="a", why="b", now=NOW)
        self.model.append(self.model[n - 1])

    @rule()
    def restart(self) -> None:
        self.store = ConfigStore(self.store.folder, durable=False)

    @invariant()
    def the_newest_counts(self) -> None:
        found = self.store.current()
        assert (found.version, found["variables/Q1/amp"]) == (len(self.model), self.model[-1])

    def teardown(self) -> None:
        assert [self.store.version(n + 1)["variables/Q1/amp"] for n in range(len(self.model))] == self.model
        self.place.cleanup()


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


@pytest.mark.parametrize("torn", ['{"version": 1, "why": "Q1\u2013'.encode()[:-1], b"\xff"])
def test_a_line_of_the_log_that_is_torn_inside_a_letter_is_left_out(store: ConfigStore, torn: bytes) -> None:
    with (store.folder / "log.jsonl").open("ab") as log:
        log.write(torn)

    updated(store, {"variables/Q1/amp": 0.3})

    assert [entry["version"] for entry in store.log()] == [1, 2]


def test_a_reason_with_a_separator_of_lines_in_it_is_one_entry_of_the_log(store: ConfigStore) -> None:
    updated(store, {"variables/Q1/amp": 0.3}, why="one\u2028two")
    updated(store, {"variables/Q1/amp": 0.4})

    assert [entry["why"] for entry in store.log()] == ["the first", "one\u2028two", "why"]


@pytest.mark.parametrize("text", [b"\xff", b""])
def test_a_mark_of_what_current_shows_that_says_nonsense_is_written_anew(
    store: ConfigStore, text: bytes
) -> None:
    (store.folder / "current" / ".version").write_bytes(text)

    assert store.refresh(now=NOW) is None
    assert (store.folder / "current" / ".version").read_text() == "1\n"


# ---------------------------------------------------------------- a share that does not show a version yet


class Hidden:
    """A share that shows nothing of some files yet, whoever looks for them by their names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: set[Path] = set()
        for name in ("lstat", "stat", "open"):
            monkeypatch.setattr(os, name, self._around(getattr(os, name)))

    def _around(self, real: Any) -> Any:
        def looking(path: Any, *more: Any, **how: Any) -> Any:
            if not isinstance(path, int) and Path(path) in self.files:
                raise FileNotFoundError(errno.ENOENT, "no such file or directory", str(path))
            return real(path, *more, **how)

        return looking


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Hidden:
    return Hidden(monkeypatch)


@pytest.fixture
def late(store: ConfigStore, hidden: Hidden) -> ConfigStore:
    """Return the store as a server sees it to whom version 2 is not shown yet."""
    other = ConfigStore(store.folder)
    other.refresh(now=NOW)
    updated(store, {"variables/Q1/amp": 0.26})
    hidden.files.add(store.folder / "versions" / "2" / "version.json")
    return other


def test_a_version_that_the_share_does_not_show_yet_is_waited_for(late: ConfigStore, hidden: Hidden) -> None:
    before = current_texts(late)
    with pytest.raises(StorageError, match="version 2 of the configuration is not to be seen"):
        late.refresh(now=NOW)
    assert current_texts(late) == before

    hidden.files.clear()

    assert late.refresh(now=NOW) is None
    assert late.current()["variables/Q1/amp"] == 0.26


def test_no_change_is_made_while_the_newest_version_is_not_shown(late: ConfigStore, hidden: Hidden) -> None:
    with pytest.raises(StorageError, match="not to be seen"):
        updated(late, {"variables/Q1/amp": 0.3})
    hidden.files.clear()

    assert [entry["why"] for entry in late.log()] == ["the first", "why"]
    assert late.version(2)["variables/Q1/amp"] == 0.26


def test_a_version_is_never_written_over_whatever_a_share_shows(late: ConfigStore, hidden: Hidden) -> None:
    hidden.files.add(late.folder / "current" / ".version")
    (late.folder / "current" / "Variables.yaml").write_text(VARIABLES)

    with pytest.raises(StorageError, match="not to be seen"):
        updated(late, {"variables/Q1/amp": 0.3})
    hidden.files.clear()

    assert late.version(2)["variables/Q1/amp"] == 0.26


def test_a_version_that_was_there_is_waited_for_and_one_that_never_was_is_an_error_at_once(
    late: ConfigStore,
) -> None:
    with pytest.raises(StorageError, match="version 2 of the configuration is not to be seen"):
        late.version(2)
    with pytest.raises(StorageError, match="version 99 of the configuration is not to be seen"):
        late.version(99, was_there=True)
    with pytest.raises(NotFoundError, match="no version 99"):
        late.version(99)
    with pytest.raises(NotFoundError, match="no version 0"):
        late.version(0)


def test_a_version_before_one_that_is_shown_is_waited_for(store: ConfigStore, hidden: Hidden) -> None:
    for amp in (0.26, 0.27):
        updated(store, {"variables/Q1/amp": amp})
    hidden.files |= {store.folder / "versions" / "2" / "version.json", store.folder / "current" / ".version"}

    with pytest.raises(StorageError, match="version 2 of the configuration is not to be seen"):
        ConfigStore(store.folder).version(2)


def test_a_configuration_of_which_nothing_is_shown_is_waited_for(store: ConfigStore, hidden: Hidden) -> None:
    hidden.files.add(store.folder / "versions" / "1" / "version.json")

    with pytest.raises(StorageError, match="version 1 of the configuration is not to be seen"):
        ConfigStore(store.folder).current()
