"""YAML 1.2 as physicists write it, and what is refused of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtrl_spool.config.tree import DELETE, New, Replace, Tree
from qtrl_spool.config.yaml12 import Limits, parse_yaml
from qtrl_spool.errors import ConfigError


def refused(text: str, **options: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "file.yaml", **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 1e9),
        ("1.0e9", 1e9),
        ("5E6", 5e6),
        ("1.e-06", 1e-6),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("+1", 1),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("on", "on"),
        ("off", "off"),
        ("no", "no"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e9'", "1e9"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("!!timestamp 2026-11-23", "2026-11-23"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}", "file.yaml")["key"]
    assert found == value and type(found) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_exactly(number: float) -> None:
    assert parse_yaml(f"x: {number!r}", "file.yaml")["x"] == number


def test_an_ordered_mapping_reads_as_a_mapping() -> None:
    tree = parse_yaml("properties: !!omap\n- env_func: square\n- width: 1e-6\n", "file.yaml")
    assert tree == {"properties": {"env_func": "square", "width": 1e-6}}


def test_a_duplicate_key_is_refused_with_both_lines() -> None:
    error = refused("a: 1\nb: 2\na: 3\n")
    assert error.where == "file.yaml:3:1" and "line 1" in error.message and "line 3" in error.message


def test_a_number_and_its_text_are_one_key() -> None:
    assert "twice" in refused("56: 1\n'56': 2\n").message


def test_a_duplicate_key_in_an_ordered_mapping_is_refused() -> None:
    assert "twice" in refused("!!omap [a: 1, a: 2]").message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_endless_nesting_is_refused_and_does_not_end_the_process(opening: str) -> None:
    refused(opening * 100_000)


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "values" in refused("\n".join(lines)).message


def test_an_alias_stands_for_its_value() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\n", "file.yaml")["b"] == [1, 2]


def test_an_alias_to_itself_is_refused() -> None:
    refused("&a [*a]")


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!Eval", "!!binary", "!<x:y>"]
)
@pytest.mark.parametrize("value", ["text", "[a]", "{a: b}"])
def test_every_other_tag_is_refused(tag: str, value: str) -> None:
    assert "refused" in refused(f"key: {tag} {value}").message


def test_the_tags_of_a_patch_make_its_marks() -> None:
    tree = parse_yaml("a: !new 5\nb: !delete\nc: !replace {x: 1}\nd: !new [1]", "file.yaml")
    assert tree == {"a": New(5), "b": DELETE, "c": Replace({"x": 1}), "d": New([1])}


@pytest.mark.parametrize("text", ["a: {b: !delete}", "a: [!new]", "a: {b: !replace}\nc: 1"])
def test_a_tag_without_a_blank_before_a_bracket_says_what_is_missing(text: str) -> None:
    with pytest.raises(ConfigError, match="a blank is missing after !"):
        parse_yaml(text, "patch.yaml")


def test_a_document_holds_no_marks_of_a_patch() -> None:
    assert "patch" in refused("a: !new 5", document=True).message


def test_a_document_holds_no_slash_in_a_key() -> None:
    assert "slash" in refused("Q6/freq: 5", document=True).message


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9" * 10_000])
def test_a_number_that_is_none_or_too_large_is_refused(text: str) -> None:
    assert refused(f"key: {text}").where == "file.yaml:1:6"


@pytest.mark.parametrize("text", ["[1]: 2", "{a: 1}: 2", "true: 1", "1.5: 1", "~: 1", "<<: {a: 1}"])
def test_a_key_that_is_no_name_is_refused(text: str) -> None:
    refused(text)


def test_a_second_document_is_refused() -> None:
    assert refused("a: 1\n---\nb: 2").where == "file.yaml:2:1"


def test_the_end_mark_of_a_document_is_read() -> None:
    assert parse_yaml("a: 1\n...\n", "file.yaml") == {"a": 1}


@pytest.mark.parametrize("text", ["a: \x01", "a: \ud800", "\x00"])
def test_characters_that_may_not_stand_in_yaml_are_refused_with_their_place(text: str) -> None:
    assert "U+" in refused(text).message


def test_an_error_shows_the_line_with_a_caret() -> None:
    assert refused("a: 1\n  b: [1, 2\nc: 3").excerpt is not None


def test_too_long_a_text_is_refused() -> None:
    assert "longer" in refused("abc", limits=Limits(n_characters=2)).message


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        parse_yaml(text, "file.yaml")
    except ConfigError as error:
        assert error.message


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=10)
numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
names = st.from_regex(r"[a-z]{1,3}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_json_is_read_as_what_it_says(value: object) -> None:
    assert parse_yaml(json.dumps({"x": value}, ensure_ascii=False), "file.json")["x"] == value


def test_a_tree_refuses_to_be_changed() -> None:
    tree = parse_yaml("a: {b: [1]}", "file.yaml")
    for change in (
        lambda: tree.update(a=1),
        lambda: tree["a"].pop("b"),
        lambda: tree["a"]["b"].append(2),
        lambda: tree.__setitem__("a", 1),
    ):
        with pytest.raises(TypeError):
            change()
    assert isinstance(tree, Tree) and tree == {"a": {"b": [1]}}


def test_reading_yaml_does_not_import_numpy() -> None:
    code = "import sys, qtrl_spool.config.yaml12, qtrl_spool.config.store; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
