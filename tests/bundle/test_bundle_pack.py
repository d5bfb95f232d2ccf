"""What is packed is what is unpacked; the same bundle makes the same bytes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.bundle import (
    Bundle,
    Limits,
    Manifest,
    dump_patch,
    from_members,
    from_text,
    job_name,
    pack,
    unpack,
)
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import BundleError, ConfigError, QtrlSpoolError, UnfinishedError

SEQUENCE = {
    "format": "qtrl-sequence/1",
    "name": "rabi",
    "n_elements": 51,
    "x_axis": {"name": "pulse width", "unit": "µs", "values": [0.0, 0.1, 1e-300]},
    "appends": [{"pulse": "Q6/rabi", "element": {"sweep": [0, 51]}, "width": {"linspace": [0, 1e-6, 51]}}],
}
PATCH = b"# a detuned drive\nvariables:\n  Q6/freq: 5.41e9   # Hz\n  Q7: !new {a: 1e-7}\n  Q8/old: !delete\n"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
keys = st.text("abcQ56_é 'on:#-\"/", min_size=1, max_size=8).filter(lambda key: not key.isdigit())
patches = st.dictionaries(
    keys,
    st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(keys | st.integers(0, 99), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)
lines = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)
manifests = st.builds(
    Manifest,
    name=st.none() | lines,
    tags=st.lists(lines, max_size=3).map(tuple),
    notes=st.none() | texts.filter(lambda text: "\0" not in text),
    n_reps=st.none() | st.integers(1, 10**9),
    config_version=st.sampled_from(["latest", "submitted"]) | st.integers(1, 99),
    on_interrupt=st.sampled_from(["requeue", "fail"]),
    hold=st.booleans(),
    max_duration=st.none() | st.floats(1e-3, 1e6),
    processing=st.booleans(),
)


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(texts, trees, max_size=5), patches, manifests)
def test_what_is_packed_is_what_is_unpacked_and_packs_to_the_same_bytes(extra, patch, manifest):
    bundle = Bundle({**extra, "format": "qtrl-sequence/1", "appends": []}, patch, manifest)
    packed = pack(bundle)
    again = unpack(packed)
    assert again == bundle
    assert pack(again) == packed


@settings(deadline=None, max_examples=150)
@given(patches)
def test_a_patch_that_is_written_reads_back_with_the_same_types(patch):
    text = dump_patch(patch)
    assert repr(parse_yaml(text, "config.yaml") or {}) == repr(patch)


@settings(deadline=None, max_examples=60)
@given(manifests)
def test_a_manifest_says_only_what_differs_from_the_defaults_and_reads_back(manifest):
    tree = manifest.to_dict()
    assert Manifest.from_dict(tree) == manifest
    assert all(getattr(manifest, key) != getattr(Manifest(), key) for key in tree if key != "format")


def test_the_sequence_is_compact_json_with_its_keys_in_order():
    packed = members_of(pack(Bundle(SEQUENCE)))
    assert packed["sequence.json"] == json.dumps(SEQUENCE, ensure_ascii=False, separators=(",", ":")).encode()
    assert list(packed) == ["sequence.json", "job.yaml"]


def test_a_patch_keeps_its_comments_and_its_markers():
    bundle = from_members({"sequence.json": json.dumps(SEQUENCE).encode(), "config.yaml": PATCH})
    assert members_of(pack(bundle))["config.yaml"] == PATCH
    assert unpack(pack(bundle)) == bundle


def test_a_patch_text_that_no_longer_says_what_the_patch_says_is_written_anew():
    stale = Bundle(SEQUENCE, {"variables": {"Q6/freq": 1.0}}, patch_text="variables: {Q6/freq: 1}")
    assert members_of(pack(stale))["config.yaml"] == b"variables:\n  Q6/freq: 1.0\n"


def test_a_key_of_digits_stays_a_text_and_a_number_a_number():
    patch = {"variables": {"56": 1, 57: 2, "1e9": "1e9", "on": "on", "null": None}}
    assert repr(unpack(pack(Bundle(SEQUENCE, patch))).patch) == repr(patch)


def test_the_json_spelling_of_markers_is_kept():
    patch = {"variables": {"Q6": {"$delete": True}, "Q7/freq": {"$new": 5.0e9}}}
    assert unpack(pack(Bundle(SEQUENCE, patch))).patch == patch


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, "\ud800", b"x"])
def test_what_json_or_yaml_cannot_hold_is_refused_when_packing(value):
    with pytest.raises(BundleError):
        pack(Bundle({**SEQUENCE, "notes": value}))
    with pytest.raises(ConfigError):
        pack(Bundle(SEQUENCE, {"variables": {"a": value}}))


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_zip_cut_anywhere_is_unfinished(data):
    packed = pack(from_members({"sequence.json": json.dumps(SEQUENCE).encode(), "config.yaml": PATCH}))
    end = data.draw(st.integers(4, len(packed) - 1))
    with pytest.raises(UnfinishedError):
        unpack(packed[:end])


def test_a_zip_that_holds_a_zip_is_unfinished_wherever_it_is_cut():
    packed = members_of_nested()
    for end in range(len(packed)):
        with pytest.raises(QtrlSpoolError) as caught:
            unpack(packed[:end])
        assert isinstance(caught.value, UnfinishedError), end


def members_of_nested() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("job.yaml", b"notes: |\n")
        archive.writestr("inner.zip", pack(Bundle(SEQUENCE)))
    return file.getvalue()


@settings(deadline=None, max_examples=150)
@given(trees.filter(lambda tree: isinstance(tree, dict)), st.data())
def test_json_cut_anywhere_is_unfinished(tree, data):
    text = json.dumps(tree, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.none() | st.just(1)))
    with pytest.raises(UnfinishedError):
        from_text(text[: data.draw(st.integers(0, len(text) - 1))], "sequence.json")


def test_every_cut_of_a_real_json_is_unfinished():
    text = json.dumps(SEQUENCE | {"more": [True, None, -1.5e-7, 'a\\"\u00b5\u20ac𝄞']})
    for end in range(len(text)):
        with pytest.raises(UnfinishedError):
            from_text(text[:end], "sequence.json")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_zip_is_refused_in_our_own_words(data):
    packed = bytearray(
        pack(from_members({"sequence.json": json.dumps(SEQUENCE).encode(), "config.yaml": PATCH}))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpack(bytes(packed))
    except QtrlSpoolError as error:
        assert error.hint


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text("{}[]:,\"'\\ueE+-.0123456789ntf \n", max_size=60).map(str.encode))
def test_any_bytes_at_all_are_refused_in_our_own_words(data):
    for name in ("sequence.json", "sequence.yaml"):
        with pytest.raises(QtrlSpoolError):
            from_members({name: data})


def test_one_text_may_hold_the_sequence_the_patch_and_the_manifest():
    text = "format: qtrl-sequence/1\nn_elements: 1\nappends: []\n"
    text += "config: {variables: {Q6/freq: 5.41e9}}\njob: {n_reps: 5}\n"
    bundle = from_text(text, "rabi.yaml")
    assert dict(bundle.sequence) == {"format": "qtrl-sequence/1", "n_elements": 1, "appends": []}
    assert (bundle.patch, bundle.manifest.n_reps) == ({"variables": {"Q6/freq": 5.41e9}}, 5)


def test_yaml_and_json_make_the_same_bundle():
    yaml = "format: qtrl-sequence/1\nn_elements: 2\nappends:\n- {pulse: Q6/X180, width: 3e-8}\n"
    text = '{"format":"qtrl-sequence/1","n_elements":2,"appends":[{"pulse":"Q6/X180","width":3e-8}]}'
    assert pack(from_text(yaml, "a.yaml")) == pack(from_text(text, "a.json"))


def test_a_folder_around_everything_and_system_junk_in_a_zip_are_tolerated():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("rabi/", b"")
        archive.writestr("rabi/Sequence.JSON", json.dumps(SEQUENCE))
        archive.writestr("rabi/job.yml", "n_reps: 7")
        archive.writestr("rabi/.DS_Store", b"\0\1")
        archive.writestr("__MACOSX/rabi/._sequence.json", b"\0\5")
    bundle = unpack(file.getvalue())
    assert (bundle.sequence, bundle.manifest.n_reps) == (SEQUENCE, 7)


def test_line_ends_and_byte_order_marks_of_windows_are_read():
    text = "\ufeffformat: qtrl-sequence/1\r\nn_elements: 1\r\nappends: []\r\n"
    assert from_members({"sequence.yaml": text.encode()}).sequence["n_elements"] == 1


@pytest.mark.parametrize(
    ("manifest", "sequence", "name"),
    [("mine", "its", "mine"), (None, "its", "its"), (None, None, "rabi q6"), (None, " ", "rabi q6")],
)
def test_the_name_is_the_manifests_else_the_sequences_else_the_files(manifest, sequence, name):
    assert job_name(Bundle({"name": sequence}, {}, Manifest(name=manifest)), "rabi q6.YAML") == name


def test_reading_a_bundle_needs_no_numpy():
    code = (
        "import sys; from qtrl_spool import bundle as b;"
        "d = b.pack(b.from_text('format: qtrl-sequence/1\\nconfig: {a: !new 1}', 'a.yaml')); b.unpack(d);"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_limits_come_from_the_spool_and_unknown_ones_are_refused():
    assert Limits.from_dict({"max_appends": 3}).max_appends == 3
    with pytest.raises(ConfigError, match="did you mean 'max_appends'"):
        Limits.from_dict({"max_append": 3})
    with pytest.raises(ConfigError, match="whole number above 0"):
        Limits.from_dict({"max_bytes": 1e6})
