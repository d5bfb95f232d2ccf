"""What must be refused, each with a sentence that names the rule and the remedy."""

from __future__ import annotations

import io
import json
import stat
import time
import zipfile

import pytest

from qtrl_spool.bundle import Limits, from_members, from_text, pack, unpack
from qtrl_spool.errors import BundleError, ConfigError, QtrlSpoolError, UnfinishedError

SEQUENCE = b'{"format":"qtrl-sequence/1","appends":[]}'


def zip_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, mode: int = 0o100644) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            entry.compress_type = method
            entry.create_system = 3
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return file.getvalue()


def with_bytes(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def encrypted() -> bytes:
    data = bytearray(zip_of(("sequence.json", SEQUENCE)))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def lying_about_its_size() -> bytes:
    data = bytearray(zip_of(("sequence.json", b" " * 300_000 + SEQUENCE)))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (41).to_bytes(4, "little")
    return bytes(data)


def zip64() -> bytes:
    data = bytearray(zip_of(("sequence.json", SEQUENCE)))
    data[-6:-2] = b"\xff\xff\xff\xff"
    return bytes(data)


ZIPS = {
    "parent": (zip_of(("../../etc/passwd", b"x")), "leads out of the bundle"),
    "parent in junk": (zip_of(("__MACOSX/../../x", b"x"), ("sequence.json", SEQUENCE)), "leads out"),
    "absolute": (zip_of(("/etc/passwd", b"x")), "absolute path"),
    "backslash": (zip_of(("..\\x", b"x")), "backslash"),
    "drive": (zip_of(("C:sequence.json", b"x")), "names a drive"),
    "NUL in a name": (zip_of(("sequence.json\0.txt", SEQUENCE)), "control character"),
    "newline in a name": (zip_of(("a\nb", b"x")), "control character"),
    "right to left": (zip_of(("a\u202eb", b"x")), "control character"),
    "dot": (zip_of(("./sequence.json", SEQUENCE)), "'.' in its path"),
    "link": (zip_of(("sequence.json", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777), "is a link"),
    "device": (zip_of(("sequence.json", b""), mode=stat.S_IFCHR | 0o666), "no regular file"),
    "encrypted": (encrypted(), "is encrypted"),
    "bzip2": (zip_of(("sequence.json", SEQUENCE), method=zipfile.ZIP_BZIP2), "only deflate"),
    "case twins": (zip_of(("sequence.json", SEQUENCE), ("SEQUENCE.json", SEQUENCE)), "there twice"),
    "accent twins": (zip_of(("\u00e9.json", b""), ("e\u0301.json", b"")), "there twice"),
    "two spellings": (zip_of(("sequence.json", SEQUENCE), ("sequence.yaml", b"")), "two spellings"),
    "unknown member": (
        zip_of(("sequence.json", SEQUENCE), ("squence.json", b"")),
        "no member 'squence.json'",
    ),
    "pickle": (zip_of(("sequence.json", SEQUENCE), ("data.pkl", b"")), "no member 'data.pkl'"),
    "two folders": (zip_of(("a/sequence.json", SEQUENCE), ("b/sequence.json", SEQUENCE)), "no member 'a/"),
    "no sequence": (zip_of(("job.yaml", b"n_reps: 1")), "no sequence.json"),
    "empty": (zip_of(), "no sequence.json"),
    "too many": (zip_of(*((f"{n}", b"") for n in range(65))), "more than 64 files"),
    "no zip": (b"#!/bin/sh\nrm -rf /\n", "this is no ZIP"),
    "split": (with_bytes(zip_of(("sequence.json", SEQUENCE)), b"PK\x05\x06\0\0", b"PK\x05\x06\1\0"), "split"),
    "ZIP64": (zip64(), "a ZIP64 one"),
    "bad name bytes": (
        with_bytes(zip_of(("sequ\u00e9nce.json", SEQUENCE)), "é".encode(), b"\xff\xff"),
        "cannot be read",
    ),
    "newer format": (zip_of(("sequence.json", b'{"format":"qtrl-sequence/2"}')), "reads 'qtrl-sequence/1'"),
    "list": (zip_of(("sequence.json", b"[]")), "must be a mapping"),
    "manifest key": (zip_of(("sequence.json", SEQUENCE), ("job.yaml", b"nreps: 1")), "unknown key 'nreps'"),
    "patch list": (zip_of(("sequence.json", SEQUENCE), ("config.yaml", b"[1]")), "patch must be a mapping"),
    "object tag": (
        zip_of(("sequence.json", SEQUENCE), ("config.yaml", b"a: !!python/object/apply:os.system [ls]")),
        "refused",
    ),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_zip_is_refused_with_the_rule_and_a_remedy(case):
    data, rule = ZIPS[case]
    with pytest.raises(QtrlSpoolError) as caught:
        unpack(data, where="drop.qjob")
    error = caught.value
    assert not isinstance(error, UnfinishedError)
    assert rule in error.message
    assert error.hint
    assert error.where.startswith("drop.qjob")
    assert str(error).isprintable() or isinstance(error, ConfigError)


def test_duplicate_members_are_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zip_of(("sequence.json", SEQUENCE), ("sequence.json", SEQUENCE))
    with pytest.raises(BundleError, match="there twice"):
        unpack(data)


def test_a_lying_number_of_members_is_found_out():
    data = bytearray(zip_of(*((f"{n}", b"") for n in range(70))))
    data[-14:-10] = b"\1\0\1\0"
    with pytest.raises(BundleError, match="more than 64 files"):
        unpack(bytes(data))


def test_a_lying_size_is_found_out():
    with pytest.raises(UnfinishedError, match="damaged"):
        unpack(lying_about_its_size())


def test_a_bomb_is_stopped_while_it_is_read():
    bomb = zip_of(("sequence.json", b" " * 50_000_000))
    limits = Limits(max_bytes=1_000_000, max_unpacked_bytes=5_000_000, max_ratio=100_000)
    with pytest.raises(BundleError, match="beyond the 5000000 bytes"):
        unpack(bomb, limits)
    with pytest.raises(BundleError, match="more than 20 times its size"):
        unpack(bomb, Limits(max_bytes=1_000_000, max_ratio=20))


def test_members_are_counted_together():
    data = zip_of(("sequence.json", b" " * 600_000), ("job.yaml", b" " * 600_000))
    with pytest.raises(BundleError, match="beyond the 1000000 bytes"):
        unpack(data, Limits(max_unpacked_bytes=1_000_000))


def test_a_drop_larger_than_the_limit_is_refused_before_it_is_read():
    with pytest.raises(BundleError, match="more than the 100 that it may have"):
        unpack(b"PK\3\4" + b"\0" * 100, Limits(max_bytes=100))


def test_what_we_pack_ourselves_is_never_taken_for_a_bomb():
    appends = [{"pulse": "Q6/X180"}] * 1_000_000
    text = json.dumps({"format": "qtrl-sequence/1", "appends": appends})
    assert len(unpack(pack(from_text(text, "a.json"))).sequence["appends"]) == 1_000_000


HEAD = '{"format":"qtrl-sequence/1",'
JSONS = {
    "deep lists": (HEAD + '"a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested more than 64"),
    "deep mappings": (HEAD + '"a":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}", "nested more than 64"),
    "a bit deep": (HEAD + '"a":' + "[" * 70 + "]" * 70 + "}", "nested more than 64"),
    "many digits": (HEAD + '"a":' + "9" * 1_000_000 + "}", "is too large"),
    "some digits": (HEAD + '"a":' + "9" * 19 + "}", "is too large"),
    "NaN": (HEAD + '"a":NaN}', "NaN is no number"),
    "infinity": (HEAD + '"a":-Infinity}', "-Infinity is no number"),
    "1e999": (HEAD + '"a":1e999}', "1e999 is too large"),
    "duplicate keys": (HEAD + '"a":1,"a":2}', "'a' stands twice"),
    "many duplicate keys": (
        HEAD + ",".join(f'"{n}":1' for n in range(100_000)) + ',"7":2}',
        "'7' stands twice",
    ),
    "lone surrogate": (HEAD + '"a":"\\ud800"}', "half a character"),
    "lone surrogate in a key": (HEAD + '"\\udc00":1}', "half a character"),
    "no format": ('{"n_elements":1}', "does not say its format"),
    "format misspelt": ('{"fromat":"qtrl-sequence/1"}', "does not say its format"),
    "format is no text": ('{"format":1}', "the format is 1"),
    "a number": ("5", "must be a mapping"),
    "text after the end": ('{"a":1}}', "Extra data"),
    "missing comma": ('{"a":1 "b":2, "c": 3}', "this is no JSON"),
    "single quotes": ("{'a': 1, 'b': 2}", "this is no JSON"),
    "too many appends": (HEAD + '"appends":[' + "0," * 50 + "0]}", "51 appends"),
}


@pytest.mark.parametrize("case", JSONS)
def test_hostile_json_is_refused_with_the_rule_and_a_remedy(case):
    text, rule = JSONS[case]
    started = time.perf_counter()
    with pytest.raises(BundleError) as caught:
        from_text(text, "drop.json", Limits(max_appends=50))
    assert not isinstance(caught.value, UnfinishedError)
    assert rule in caught.value.message
    assert caught.value.hint
    assert len(str(caught.value)) < 500
    assert time.perf_counter() - started < 5


def test_too_many_values_are_refused_before_they_are_made():
    with pytest.raises(BundleError, match="more than 1000 values"):
        from_text("[" + "0," * 1000 + "0]", "drop.json", Limits(max_values=1000))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
YAMLS = {
    "aliases": (BOMB, "more than"),
    "deep": ("[" * 10_000, "nested deeper"),
    "duplicate keys": ("format: qtrl-sequence/1\na: 1\na: 2\n", "twice"),
    "object": ("format: !!python/object/apply:os.system [ls]\n", "refused"),
    "too long": ("# " + "x" * 1_100_000, "more than the 1048576"),
    "infinity": ("format: qtrl-sequence/1\na: .inf\n", "not a finite number"),
    "whole number as key": ("format: qtrl-sequence/1\na: {1: 2}\n", "has the key 1"),
    "patch marker": ("format: qtrl-sequence/1\na: !delete\n", "which a sequence cannot hold"),
    "large number": ("format: qtrl-sequence/1\na: 99999999999999999999\n", "which a sequence cannot hold"),
    "nothing": ("# only a comment\n", "this is nothing"),
    "patch is text": ("format: qtrl-sequence/1\nconfig: later\n", "patch must be a mapping"),
    "manifest is text": ("format: qtrl-sequence/1\njob: later\n", "must be a mapping"),
}


@pytest.mark.parametrize("case", YAMLS)
def test_hostile_yaml_is_refused_with_the_rule(case):
    text, rule = YAMLS[case]
    started = time.perf_counter()
    with pytest.raises(QtrlSpoolError) as caught:
        from_text(text, "drop.yaml")
    assert rule in caught.value.message
    assert caught.value.where.startswith("drop.yaml")
    assert time.perf_counter() - started < 5


BEYOND = {
    "max_bytes": lambda: unpack(zip_of(("sequence.json", SEQUENCE)), Limits(max_bytes=10)),
    "max_members": lambda: unpack(zip_of(*((f"{n}", b"") for n in range(65)))),
    "max_ratio": lambda: unpack(
        zip_of(("sequence.json", SEQUENCE + b" " * 100_000), method=zipfile.ZIP_DEFLATED),
        Limits(max_bytes=1000),
    ),
    "max_unpacked_bytes": lambda: unpack(
        zip_of(("sequence.json", SEQUENCE + b" " * 100_000)), Limits(max_unpacked_bytes=1000)
    ),
    "max_yaml_bytes": lambda: from_text("# " + "x" * 1_100_000, "drop.yaml"),
    "max_depth": lambda: from_text("[" * 70 + "]" * 70, "drop.json"),
    "max_values": lambda: from_text("[" + "0," * 1000 + "0]", "drop.json", Limits(max_values=1000)),
    "max_appends": lambda: from_text(
        HEAD + '"name":"a","n_elements":1,"appends":[{},{}]}', "a.json", Limits(max_appends=1)
    ),
}


@pytest.mark.parametrize("limit", BEYOND)
def test_what_is_beyond_a_limit_is_refused_with_the_limits_name(limit):
    with pytest.raises(BundleError) as caught:
        BEYOND[limit]()
    assert f"an admin raises limits: {limit} in spool.yaml" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "limit"), [(BOMB, "max_yaml_bytes"), ("[" * 70, "max_depth"), ("[" * 20_000, "max_depth")]
)
def test_yaml_beyond_a_limit_is_refused_with_the_limits_name(text, limit):
    with pytest.raises(ConfigError) as caught:
        from_text(text, "drop.yaml")
    assert f"an admin raises limits: {limit} in spool.yaml" in caught.value.hint


def test_an_archive_with_a_huge_name_is_refused_as_that():
    with pytest.raises(BundleError, match="a name is far too long") as caught:
        unpack(zip_of(("x" * 60_000, b"")), Limits(max_members=4))
    assert "limits: max_members" in caught.value.hint


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ('{"format":"µ"}'.encode("latin-1"), "not UTF-8"),
        ('{"format":"µ"}'.encode("utf-16"), "is UTF-16"),
    ],
)
def test_other_encodings_are_refused_with_the_remedy(data, rule):
    with pytest.raises(BundleError, match=rule) as caught:
        from_members({"sequence.json": data})
    assert caught.value.hint == "save it as UTF-8"


def test_a_text_with_nul_bytes_is_unfinished():
    with pytest.raises(UnfinishedError, match="NUL"):
        from_members({"sequence.yaml": b"format: qtrl-sequence/1\n\0\0\0"})


def test_a_long_text_is_not_repeated_in_the_message():
    with pytest.raises(QtrlSpoolError) as caught:
        from_text(HEAD + '"job":{"notes":"' + "x" * 1_000_000 + '"}}', "drop.json")
    assert len(str(caught.value)) < 500


def test_what_a_message_quotes_cannot_steer_a_terminal():
    with pytest.raises(QtrlSpoolError) as caught:
        from_text('{"format":"qtrl-sequence/1","job":{"\\u001b]0;pwned\\u0007\\u202e":1}}', "d.json")
    with pytest.raises(ConfigError) as shown:
        from_text("format: qtrl-sequence/1\na: !x \u202e\u2066\n", "drop.yaml")
    for text in (str(caught.value), str(shown.value), shown.value.excerpt):
        assert all(line.isprintable() for line in text.splitlines())
