"""A changed value in a text: every other byte stays."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qtrl_spool.config.edit import dump_documents, dump_yaml, edited_text
from qtrl_spool.config.merge import merged, parse_patch, same
from qtrl_spool.config.tree import Tree, freeze, leaves
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import ConfigError

TEXT = """\
# the chip
Q6:      # qubit six
  freq: 5.41e9   # Hz
  amp: [0.1, 0.2]   # list
  empty:
  corr:   # matrix
  - - 1.0
    - 2.0
  - - 3.0   # x
    - 4.0
  # tail
  sub: {a: 1, b: 'on'}
  wide: {a: 1,   # first
         b: 2}
  text: |
    line 1
    line 2

  o: !!omap
  - x: 1
  - y: 2
pulses:
- channel: 1
  freq: 2
- channel: 3   # three
  freq: 4

# the end
last: "quoted"
"""

EDITS = {
    "Q6/freq: 5.5e9": ["-  freq: 5.41e9   # Hz", "+  freq: 5500000000.0   # Hz"],
    "Q6/freq: 5.5 GHz": ["-  freq: 5.41e9   # Hz", "+  freq: 5.5 GHz   # Hz"],
    "Q6/freq: null": ["-  freq: 5.41e9   # Hz", "+  freq: null   # Hz"],
    "Q6/freq: '1e9'": ["-  freq: 5.41e9   # Hz", "+  freq: '1e9'   # Hz"],
    "Q6/amp/1: 0.3": ["-  amp: [0.1, 0.2]   # list", "+  amp: [0.1, 0.3]   # list"],
    "Q6/amp: [1, 2, 3]": ["-  amp: [0.1, 0.2]   # list", "+  amp: [1, 2, 3]   # list"],
    "Q6/empty: 3": ["-  empty:", "+  empty: 3"],
    "Q6/empty: !delete": ["-  empty:"],
    "Q6/corr/0/1: 9.5": ["-    - 2.0", "+    - 9.5"],
    "Q6/sub/a: 7": ["-  sub: {a: 1, b: 'on'}", "+  sub: {a: 7, b: 'on'}"],
    "Q6/sub: !delete": ["-  sub: {a: 1, b: 'on'}"],
    "Q6/wide/b: [x, y]": ["-         b: 2}", "+         b: [x, y]}"],
    "Q6/o/y: 5": ["-  - y: 2", "+  - y: 5"],
    "Q6/new: !new [1, 2]": ["+  new: [1, 2]"],
    "Q6/text: short": ["-  text: |", "-    line 1", "-    line 2", "+  text: short"],
    "pulses/1/channel: 9": ["-- channel: 3   # three", "+- channel: 9   # three"],
    "last: !delete": ['-last: "quoted"'],
    "new: !new {a: 1}": ["+new:", "+  a: 1"],
}


def edited(text: str, patch: str) -> str:
    old = parse_yaml(text, "x.yaml", document=True)
    return edited_text(text, "x.yaml", old, merged(old, parse_patch(patch)))


def changed_lines(old: str, new: str) -> list[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("patch", EDITS)
def test_only_the_changed_value_changes(patch: str) -> None:
    assert changed_lines(TEXT, edited(TEXT, patch)) == EDITS[patch]


@pytest.mark.parametrize("patch", EDITS)
def test_line_ends_of_other_systems_stay(patch: str) -> None:
    new = edited(TEXT.replace("\n", "\r\n"), patch)
    assert (
        new.count("\n") == new.count("\r\n")
        and changed_lines(TEXT, new.replace("\r\n", "\n")) == EDITS[patch]
    )


def test_a_byte_order_mark_stays() -> None:
    assert edited("\ufeffa: 1\n", "a: 2") == "\ufeffa: 2\n"


def test_a_text_without_a_last_line_end_can_grow() -> None:
    assert edited("a: 1", "b: !new 2") == "a: 1\nb: 2"


def test_an_empty_document_can_grow() -> None:
    assert edited_text("# nothing yet\n", "x.yaml", Tree({}), Tree({"a": 1})) == "# nothing yet\na: 1\n"


def test_a_value_behind_an_alias_is_not_changed_in_two_places() -> None:
    with pytest.raises(ConfigError, match="by hand"):
        edited("a: &x {n: 1}\nb: *x\n", "b/n: 2")


def test_other_values_of_a_file_with_aliases_can_be_changed() -> None:
    assert edited("a: &x 1\nb: *x\nc: 2\n", "c: 3") == "a: &x 1\nb: *x\nc: 3\n"


keys = st.from_regex(r"[a-z]{1,3}", fullmatch=True) | st.integers(0, 200)
texts = st.sampled_from(
    ["on", "1e9", "a: b", "- x", "# no", "", " ", "x\ny", "é", "'", '"', "!new", "&a", "null", "1:30"]
)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1e12, 1e12) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
trees = st.dictionaries(keys, values, max_size=4)


@given(trees)
def test_what_is_dumped_reads_back_exactly(tree: dict[object, object]) -> None:
    found = parse_yaml(dump_yaml(tree), "x.yaml", document=True)
    assert same(found if tree else Tree(found), freeze(tree))


@given(trees)
def test_what_is_dumped_is_the_same_to_a_reader_of_yaml_1_1(tree: dict[object, object]) -> None:
    assert yaml.safe_load(dump_yaml(tree)) == tree


@settings(max_examples=300, deadline=None)
@given(trees, trees, st.booleans())
def test_any_document_is_edited_into_any_other(
    a: dict[object, object], b: dict[object, object], flow: bool
) -> None:
    assume(all(len({str(key) for key in each}) == len(each) for each in (a, b)))
    text = yaml.safe_dump(a, default_flow_style=True) if flow else dump_yaml(a)
    old = parse_yaml(text, "x.yaml", document=True)
    new = edited_text(text, "x.yaml", old, freeze(b))
    assert same(parse_yaml(new, "x.yaml", document=True), freeze(b))


def test_each_value_of_the_lab_can_be_changed_alone(lab_config: Path) -> None:
    text = (lab_config / "Variables.yaml").read_text()
    old = parse_yaml(text, "Variables.yaml", document=True)
    for path, value in leaves(old):
        new = edited_text(text, "x", old, merged(old, {"/".join(map(str, path)): "changed"}))
        assert len(changed_lines(text, new)) == 2, (path, value)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"a": {}},
        {"a": 1, "b": {"c": 1, "d": {"e": [1, 2.0, None]}, "f": {}, "g": []}},
        {"a b": {"on": True, "1": "1e9", "long": "word " * 60, "ü: {x}": {"*": [{"k": [[]]}]}}},
    ],
)
def test_documents_dumped_entry_by_entry_are_those_dumped_at_once(tree: dict[str, Any]) -> None:
    for _ in range(2):
        assert dump_documents(Tree(tree)) == dump_yaml(Tree(tree))


def test_a_value_that_only_looks_the_same_is_dumped_anew() -> None:
    assert [dump_documents(Tree({"a": {"b": each}})) for each in (1, 1.0, True, "1")] == [
        f"a:\n  b: {each}\n" for each in ("1", "1.0", "true", "'1'")
    ]
