"""A drop that arrives slowly is never taken before all of it is there, whatever its form."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtrl_spool.bundle import Limits, from_text, pack
from qtrl_spool.spool.drops import Bad, Ignored, Incomplete, Stillness, Text, Whole, look, look_text

SETTLE_S, ABANDONED_S = 2.0, 600.0

YAML = b"""\
format: qtrl-sequence/1
name: rabi
n_elements: 3
appends:
- {pulse: Q6/X180, element: 1}
- {pulse: Readout/R6, start: ref1}
config:
  variables: {Q6/freq: 5.41e9}
job:
  n_reps: 5
"""
BUNDLE = from_text(YAML.decode(), "rabi.yaml")
JSON = json.dumps(
    {**BUNDLE.sequence, "config": {"variables": {"Q6/freq": 5.41e9}}, "job": {"n_reps": 5}}, indent=1
).encode()
ZIP = pack(BUNDLE)
FORMS = {"rabi.qjob": ZIP, "rabi.zip": ZIP, "rabi.json": JSON, "rabi.yaml": YAML, "rabi.YML": YAML}
FOLDER = {"config.yaml": b"variables: {Q6/freq: 5.41e9}\n", "job.yaml": b"n_reps: 5\n"}
FOLDER["sequence.json"] = json.dumps(dict(BUNDLE.sequence)).encode()


class Observer:
    """Looks at one folder, with a clock that a test sets."""

    def __init__(self, looking=look) -> None:
        self.stillness = Stillness()
        self.now = 1000.0
        self.looking = looking

    def see(self, path: Path, after: float = 0.0, **more):
        self.now += after
        patience = {"settle_s": SETTLE_S, "abandoned_s": ABANDONED_S}
        return self.looking(path, self.stillness, now=self.now, limits=Limits(), **patience, **more)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_file_copied_chunk_by_chunk_is_taken_only_when_it_is_whole(tmp_path, name, chunk):
    observer, path, data = Observer(), tmp_path / name, FORMS[name]
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(data), chunk):
            seen = observer.see(path, after=0.9 * SETTLE_S)
            assert isinstance(seen, Incomplete), (start, seen)
            assert 0 < seen.recheck_after_s <= ABANDONED_S
            file.write(data[start : start + chunk])
    observer.see(path, after=0.1)
    seen = observer.see(path, after=SETTLE_S)
    assert isinstance(seen, Whole)
    assert seen.bundle == BUNDLE
    assert seen.uid == os.geteuid()


@pytest.mark.parametrize("name", ["rabi.qjob", "rabi.json"])
@pytest.mark.parametrize("stall", [SETTLE_S, 0.9 * ABANDONED_S])
def test_a_copy_of_a_zip_or_a_json_may_stall_for_long(tmp_path, name, stall):
    observer, path, data = Observer(), tmp_path / name, FORMS[name]
    for end in range(0, len(data), 61):
        path.write_bytes(data[:end])
        assert isinstance(observer.see(path), Incomplete)
        assert isinstance(observer.see(path, after=stall), Incomplete)
    path.write_bytes(data)
    assert isinstance(observer.see(path), Whole)


@pytest.mark.parametrize("name", ["rabi.qjob", "rabi.json"])
def test_a_whole_zip_or_json_is_taken_at_once(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    assert isinstance(Observer().see(tmp_path / name), Whole)


@pytest.mark.parametrize("end", [b"...\n", b"...", b"...\r\n", b"...  \n\n"])
def test_yaml_that_ends_with_three_dots_is_taken_at_once(tmp_path, end):
    path = tmp_path / "rabi.yaml"
    path.write_bytes(YAML + end)
    assert isinstance(Observer().see(path), Whole)


def test_three_dots_that_do_not_end_the_text_end_nothing(tmp_path):
    path = tmp_path / "rabi.yaml"
    path.write_bytes(YAML + b"notes: ...\n")
    assert isinstance(Observer().see(path), Incomplete)


def test_any_form_that_was_renamed_in_is_taken_at_once(tmp_path):
    for name, data in FORMS.items():
        (tmp_path / name).write_bytes(data)
        assert isinstance(Observer().see(tmp_path / name, renamed=True), Whole), name


def test_loose_yaml_waits_again_after_every_change_that_can_be_seen(tmp_path):
    observer, path = Observer(), tmp_path / "rabi.yaml"
    path.write_bytes(YAML)
    observer.see(path)
    os.utime(path, ns=(1, 1))
    assert isinstance(observer.see(path, after=SETTLE_S), Incomplete)
    path.write_bytes(YAML.replace(b"Q6", b"Q7"))
    os.utime(path, ns=(1, 1))
    assert isinstance(observer.see(path, after=SETTLE_S), Incomplete)
    assert isinstance(observer.see(path, after=SETTLE_S), Whole)


@pytest.mark.parametrize("name", FORMS)
def test_a_file_whose_size_was_set_before_its_contents_came_is_never_taken_early(tmp_path, name):
    observer, path, data = Observer(), tmp_path / name, FORMS[name]
    with path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        order = list(range(0, len(data), 50))
        for start in order[1::2] + order[::2]:
            os.utime(path, ns=(1, 1))
            assert isinstance(observer.see(path, after=SETTLE_S), Incomplete), start
            assert isinstance(observer.see(path, after=SETTLE_S), Incomplete), start
            os.pwrite(file.fileno(), data[start : start + 50], start)
    observer.see(path)
    assert isinstance(observer.see(path, after=SETTLE_S), Whole)


def test_a_folder_copied_file_by_file_is_taken_only_when_it_stands_still(tmp_path):
    for order in (list(FOLDER), list(FOLDER)[::-1]):
        observer, path = Observer(), tmp_path / f"rabi-{order[0]}"
        path.mkdir()
        for name in order:
            for end in range(0, len(FOLDER[name]) + 1, 9):
                (path / name).write_bytes(FOLDER[name][:end])
                assert isinstance(observer.see(path, after=0.9 * SETTLE_S), Incomplete)
            (path / name).write_bytes(FOLDER[name])
        assert isinstance(observer.see(path, after=0.9 * SETTLE_S), Incomplete)
        seen = observer.see(path, after=SETTLE_S)
        assert isinstance(seen, Whole)
        assert (seen.bundle, seen.kind) == (BUNDLE, "folder")


def test_a_folder_waits_for_its_sequence_and_for_files_on_their_way(tmp_path):
    observer, path = Observer(), tmp_path / "rabi"
    path.mkdir()
    observer.see(path)
    assert isinstance(observer.see(path, after=100), Incomplete)
    (path / "sequence.json").write_bytes(FOLDER["sequence.json"])
    (path / ".config.yaml.Ab3dE9").write_bytes(b"vari")
    observer.see(path)
    seen = observer.see(path, after=100)
    assert isinstance(seen, Incomplete)
    assert ".config.yaml.Ab3dE9" in seen.reason
    (path / ".config.yaml.Ab3dE9").rename(path / "config.yaml")
    (path / "config.yaml").write_bytes(FOLDER["config.yaml"])
    observer.see(path)
    seen = observer.see(path, after=SETTLE_S)
    assert isinstance(seen, Whole)
    assert seen.bundle.patch == BUNDLE.patch


def test_the_same_bytes_have_the_same_digest_and_others_another(tmp_path):
    digests = set()
    for folder, notes in (("a", b"n_reps: 5"), ("b", b"n_reps: 5"), ("c", b"n_reps: 6")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sequence.yaml").write_bytes(YAML[: YAML.index(b"config")])
        (tmp_path / folder / "job.yaml").write_bytes(notes)
        digests.add(Observer().see(tmp_path / folder, renamed=True).sha256)
    assert len(digests) == 2


@pytest.mark.parametrize("name", FORMS)
def test_what_ends_too_early_is_given_up_when_it_is_abandoned(tmp_path, name):
    observer, path = Observer(), tmp_path / name
    path.write_bytes(FORMS[name][:60] + bytes(20))
    observer.see(path)
    assert isinstance(observer.see(path, after=ABANDONED_S - 1), Incomplete)
    seen = observer.see(path, after=1)
    assert isinstance(seen, Bad)
    assert "for 600 s nothing more came" in seen.error.message
    assert seen.error.hint == "copy it again"


@pytest.mark.parametrize("content", [b"", bytes(5000), b"\n\n"])
def test_an_empty_or_all_zeros_file_is_incomplete_until_it_is_abandoned(tmp_path, content):
    for name in FORMS:
        observer, path = Observer(), tmp_path / name
        path.write_bytes(content)
        assert isinstance(observer.see(path), Incomplete)
        assert isinstance(observer.see(path, after=ABANDONED_S - 1), Incomplete)
        assert isinstance(observer.see(path, after=1), Bad)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("rabi.qjob", b"#!/bin/sh", "this is no ZIP"),
        ("rabi.json", b'{"a" 1}', "this is no JSON"),
        ("rabi.yaml", b"a: [1", "not YAML"),
        ("rabi.yaml", b"a: 1\n...\n", "does not say its format"),
        ("rabi.txt", YAML, "nothing that may be dropped"),
    ],
)
def test_what_is_wrong_whatever_may_follow_is_refused_when_it_has_settled(tmp_path, name, content, rule):
    observer, path = Observer(), tmp_path / name
    path.write_bytes(content)
    assert isinstance(observer.see(path), Incomplete)
    seen = observer.see(path, after=SETTLE_S)
    assert isinstance(seen, Bad)
    assert rule in seen.error.message
    assert seen.error.where.startswith(name)


def test_waiting_asks_to_be_looked_at_again_when_the_time_has_come(tmp_path):
    observer, path = Observer(), tmp_path / "rabi.yaml"
    path.write_bytes(YAML)
    for _ in range(20):
        seen = observer.see(path)
        if isinstance(seen, Whole):
            break
        observer.now += seen.recheck_after_s
    assert isinstance(seen, Whole)
    assert observer.now - 1000 == pytest.approx(SETTLE_S)


def test_an_abandoned_drop_is_looked_at_ever_more_rarely(tmp_path):
    observer, path = Observer(), tmp_path / "rabi.qjob"
    path.write_bytes(ZIP[:50])
    n_looks = 1
    while isinstance(seen := observer.see(path), Incomplete):
        observer.now += seen.recheck_after_s
        n_looks += 1
    assert isinstance(seen, Bad)
    assert n_looks < 40


def test_what_has_gone_is_ignored_and_forgotten(tmp_path):
    observer, path = Observer(), tmp_path / "rabi.yaml"
    path.write_bytes(YAML)
    observer.see(path)
    path.unlink()
    assert isinstance(observer.see(path, after=SETTLE_S), Ignored)
    path.write_bytes(YAML)
    assert isinstance(observer.see(path), Incomplete)
    observer.stillness.keep([])
    assert isinstance(observer.see(path, after=SETTLE_S), Incomplete)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["rabi.qjob", "rabi.json"]), st.data())
def test_no_cut_of_a_zip_or_json_is_ever_taken(tmp_path, name, data):
    end = data.draw(st.integers(0, len(FORMS[name]) - 1))
    observer, path = Observer(), tmp_path / name
    path.write_bytes(FORMS[name][:end].rstrip() if name.endswith("json") else FORMS[name][:end])
    assert isinstance(observer.see(path), Incomplete)
    assert isinstance(observer.see(path, after=SETTLE_S), Incomplete)
    assert isinstance(observer.see(path, renamed=True), Incomplete)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_a_damaged_drop_gets_an_answer_and_never_an_exception(tmp_path, name, data):
    content = bytearray(FORMS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    observer, path = Observer(), tmp_path / name
    path.write_bytes(content)
    for after in (0, SETTLE_S, ABANDONED_S):
        seen = observer.see(path, after=after)
    assert isinstance(seen, Bad | Whole)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.yaml", b"{cancel: 20261123-101530-rabi-k3f9x}\n"),
        ("r.yaml", b"{config: {variables: {Q6/freq: 5.41e9}}, base: 3, reason: new}"),
        ("r.yaml", b"cancel: 20261123-101530-rabi-k3f9x\n...\n"),
        ("r.json", b'{"cancel": "20261123-101530-rabi-k3f9x"}'),
        ("cancel rabi", b"{cancel: x}"),
    ],
)
def test_a_request_that_ends_itself_is_taken_at_once_and_never_before(tmp_path, name, content):
    path = tmp_path / name
    observer = Observer(look_text)
    for end in range(len(content.rstrip())):
        if content[:end].endswith(b"\n..."):
            continue
        path.write_bytes(content[:end])
        assert isinstance(observer.see(path), Incomplete), content[:end]
    path.write_bytes(content)
    seen = observer.see(path)
    assert isinstance(seen, Text)
    assert seen.text == content.decode()
    assert seen.tree


def test_a_loose_request_is_taken_when_it_stands_still_or_was_renamed_in(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"cancel: 20261123-101530-rabi-k3f9x\n")
    observer = Observer(look_text)
    assert isinstance(observer.see(path), Incomplete)
    assert isinstance(observer.see(path, after=SETTLE_S), Text)
    assert isinstance(Observer(look_text).see(path, renamed=True), Text)


def test_a_wrong_request_is_refused_with_its_line(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"cancel: x\ncancel: y\n")
    seen = Observer(look_text).see(path, renamed=True)
    assert isinstance(seen, Bad)
    assert seen.error.where.startswith("r.yaml:2")
