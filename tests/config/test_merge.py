"""The one merge, as a plain model says it, and its inverse."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.config.merge import diff, merged, parse_patch, same
from qtrl_spool.config.tree import DELETE, New, Replace, Tree, leaves
from qtrl_spool.errors import PatchError

DEFAULT: dict[str, Any] = {
    "variables": {"Q6": {"freq": 5.4e9, "amp": 0.1}, "common": {"ZZ": {56: 176000}}},
    "adc": {"angles": [0.1, 0.2, 0.3], "steps": [{"x": 1}, {"x": 2}], "name": None},
}

keys = st.from_regex(r"[a-c]{1,2}", fullmatch=True) | st.integers(0, 20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-1, 1)
    | st.sampled_from(["on", "x", "Q6/freq"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)
trees = st.dictionaries(st.from_regex(r"[a-d]", fullmatch=True), values, max_size=4)


def refused(patch: Any, default: Any = DEFAULT) -> PatchError:
    with pytest.raises(PatchError) as caught:
        merged(default, patch)
    return caught.value


@pytest.mark.parametrize(
    "patch",
    [
        {"variables": {"Q6": {"freq": 5.41e9}}},
        {"variables": {"Q6/freq": 5.41e9}},
        {"variables/Q6": {"freq": 5.41e9}},
        {"variables/Q6/freq": 5.41e9},
    ],
)
def test_slash_paths_and_nested_trees_say_the_same(patch: dict[str, Any]) -> None:
    assert merged(DEFAULT, patch)["variables"] == {**DEFAULT["variables"], "Q6": {"freq": 5.41e9, "amp": 0.1}}


def test_neither_the_default_nor_the_patch_is_changed() -> None:
    default, patch = copy.deepcopy(DEFAULT), {"variables": {"Q6": {"freq": 1.0}}, "adc/angles/0": 7}
    kept = copy.deepcopy(patch)
    merged(default, patch)
    assert (default, patch) == (DEFAULT, kept)


def test_what_is_not_patched_is_shared() -> None:
    default = merged(DEFAULT, {})
    new = merged(default, {"variables/Q6/freq": 1.0})
    assert new["adc"] is default["adc"] and new["variables"]["common"] is default["variables"]["common"]


def test_a_patch_that_changes_nothing_gives_the_very_same() -> None:
    default = merged(DEFAULT, {})
    assert merged(default, {"variables/Q6/freq": 5.4e9, "adc": {"angles": [0.1, 0.2, 0.3]}}) is default


@pytest.mark.parametrize("key", [56, "56"])
def test_a_whole_number_key_is_reached_by_number_and_by_text(key: object) -> None:
    assert merged(DEFAULT, {"variables": {"common": {"ZZ": {key: 1}}}})["variables/common/ZZ/56"] == 1


def test_a_whole_number_key_is_reached_by_path() -> None:
    assert merged(DEFAULT, {"variables/common/ZZ/56": 1})["variables"]["common"]["ZZ"] == {56: 1}


def test_one_item_of_a_list_is_replaced_by_its_index() -> None:
    assert merged(DEFAULT, {"adc": {"angles/2": 9}})["adc"]["angles"] == [0.1, 0.2, 9]


def test_a_list_is_replaced_as_a_whole() -> None:
    assert merged(DEFAULT, {"adc/angles": [1]})["adc"]["angles"] == [1]


def test_a_mapping_inside_a_list_is_patched() -> None:
    assert merged(DEFAULT, {"adc/steps/1/x": 5})["adc"]["steps"] == [{"x": 1}, {"x": 5}]


def test_null_sets_null() -> None:
    assert merged(DEFAULT, {"variables/Q6/freq": None})["variables/Q6/freq"] is None


def test_a_misspelt_key_is_refused_with_a_near_miss() -> None:
    error = refused({"variables": {"Q6": {"frq": 1}}})
    assert error.where == "variables/Q6/frq" and "'freq'" in str(error.hint)


def test_a_misspelt_document_is_refused_whatever_its_case() -> None:
    assert "'variables'" in str(refused({"VARIABLES": {"Q6/freq": 1}}).hint)


def test_all_problems_are_told_at_once() -> None:
    assert len(refused({"variables/Q6/frq": 1, "variables/Q7": 2, "adc/angles/7": 1}).problems) == 3


def test_an_error_of_a_text_has_its_place() -> None:
    assert str(refused(parse_patch("variables:\n  Q6/frq: 1\n", "job.yaml")).where).startswith("job.yaml:2:3")


def test_a_misspelt_key_is_never_added_by_a_path_through_it() -> None:
    refused({"variables/Q66/freq": {"$new": 5}})


def test_new_allows_a_key_that_is_not_there() -> None:
    assert merged(DEFAULT, {"variables/Q9": {"$new": {"freq": 1}}})["variables/Q9"] == {"freq": 1}


def test_new_on_a_key_that_is_there_merges() -> None:
    new = merged(DEFAULT, {"variables/Q6": New({"freq": 1, "extra": 2})})["variables/Q6"]
    assert new == {"freq": 1, "amp": 0.1, "extra": 2}


def test_delete_takes_a_key_out() -> None:
    assert merged(DEFAULT, {"variables/Q6/freq": DELETE})["variables/Q6"] == {"amp": 0.1}


def test_delete_of_what_is_not_there_is_refused() -> None:
    assert "'freq'" in str(refused({"variables/Q6/frq": {"$delete": True}}).hint)


@pytest.mark.parametrize(
    ("path", "value"),
    [("variables/Q6", 1), ("variables/Q6", None), ("variables/Q6/freq", {}), ("adc/angles", {"x": 1})],
)
def test_a_mapping_and_something_else_do_not_silently_replace_each_other(path: str, value: Any) -> None:
    assert "!replace" in str(refused({path: value}).hint)


def test_replace_puts_anything_in_place_of_anything() -> None:
    assert merged(DEFAULT, {"variables/Q6": {"$replace": 5}})["variables/Q6"] == 5


@pytest.mark.parametrize(
    "patch",
    [
        {"variables": {"Q6/freq": 1, "Q6": {"freq": 2}}},
        {"variables/Q6": {"$new": {}}, "variables/Q6/freq": 1},
        {"variables//freq": 1},
        {"/variables": 1},
        {"variables": {"$new": 1, "x": 2}},
        {"variables": {"$neu": 1}},
        {"variables/Q6/freq": {"$delete": False}},
        {"variables/Q9": {"$new": {"$delete": True}}},
        {"adc/angles": [{"$delete": True}]},
        {"adc/angles/0": {"$delete": True}},
        {"adc/angles/-1": 1},
        {"adc/angles/03": 1},
        [1],
    ],
)
def test_a_patch_that_makes_no_sense_is_refused(patch: Any) -> None:
    assert refused(patch).message


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    patch = {"variables/Q6/freq": numpy.int64(5), "adc/angles": numpy.array([1.0, 2.0])}
    new = merged(DEFAULT, patch)
    assert type(new["variables/Q6/freq"]) is int and new["adc/angles"] == [1.0, 2.0]


@pytest.mark.parametrize("value", [1j, {1, 2}, object(), float("nan"), float("inf"), b"x"])
def test_what_a_configuration_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        merged(DEFAULT, {"variables/Q6/freq": value})


def test_an_empty_text_is_an_empty_patch() -> None:
    assert parse_patch("# nothing\n") == {} and parse_patch(None) == {}


@given(trees)
def test_an_empty_patch_changes_nothing(tree: dict[str, Any]) -> None:
    assert merged(tree, {}) == tree


@given(trees, trees)
@settings(max_examples=200)
def test_the_difference_of_two_trees_is_the_patch_between_them(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert same(merged(a, diff(a, b)), merged(b, {}))


@given(trees, trees)
def test_a_patch_without_delete_applied_twice_is_applied_once(a: dict[str, Any], b: dict[str, Any]) -> None:
    patch = _without_delete(diff(a, b))
    once = merged(a, patch)
    assert same(merged(once, patch), once)


@given(trees, trees)
def test_the_order_of_disjoint_patches_does_not_matter(a: dict[str, Any], b: dict[str, Any]) -> None:
    patch = diff(a, b)
    one, other = ({key: patch[key] for key in patch if key in half} for half in ("ab", "cd"))
    assert same(merged(merged(a, one), other), merged(merged(a, other), one))


def _without_delete(patch: Any) -> Any:
    if isinstance(patch, Tree):
        return Tree({key: _without_delete(each) for key, each in patch.items() if each is not DELETE})
    return patch


paths = st.sampled_from(
    [
        "variables",
        "variables/Q6",
        "variables/Q6/freq",
        "adc/angles",
        "adc/angles/1",
        "adc/steps/0/x",
        "adc/name",
        "adc",
    ]
)
marked = values | values.map(New) | values.map(Replace) | st.just(DELETE) | values.map(lambda v: {"$new": v})
odd = st.text(max_size=8) | st.integers(-3, 70)


@given(st.dictionaries(paths | odd, marked, max_size=3))
@settings(max_examples=500)
def test_any_patch_is_applied_or_refused_with_a_sentence(patch: dict[Any, Any]) -> None:
    default = merged(DEFAULT, {})
    try:
        merged(default, patch)
    except ValueError as error:
        assert str(error)
    assert default == DEFAULT


def test_ten_thousand_fuzzed_patches_are_applied_as_the_plain_model_says_or_refused() -> None:
    dice = random.Random(20261123)
    known = ["/".join(map(str, path)) for path, _ in leaves(DEFAULT)]
    default, n_applied = merged(DEFAULT, {}), 0
    for _ in range(10_000):
        patch = _fuzzed(dice, known)
        expected = _model(patch)
        try:
            found = merged(default, patch)
        except PatchError as error:
            assert expected is None and str(error), patch
        else:
            n_applied += 1
            assert same(found, merged(expected or {}, {})), patch
    assert default == DEFAULT and 1000 < n_applied < 9000


def _fuzzed(dice: random.Random, known: list[str]) -> dict[str, Any]:
    """Return a patch of a few paths apart, some of them misspelt, some values of another kind."""
    patch: dict[str, Any] = {}
    for path in dice.sample(known, dice.randint(1, 3)):
        if dice.random() < 0.2:
            path = path.replace(dice.choice("aefgnrsv1"), dice.choice("xyz7"), 1)
        if dice.random() < 0.1:
            path = path.rpartition("/")[0]
        if not any(
            f"{one}/".startswith(f"{other}/") for pair in patch for one, other in ((pair, path), (path, pair))
        ):
            patch[path] = dice.choice([0, 1.5, "on", None, True, [1, 2], {}, {"x": 1}, {"freq": 2.0}])
    return patch


def _model(patch: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the patch makes of `DEFAULT` by the simplest code that can be written; None if refused."""
    flat = [(path.split("/"), value) for path, value in _flat(patch)]
    return _apply(copy.deepcopy(DEFAULT), flat)


def _flat(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        return [each for key, below in tree.items() for each in _flat(below, f"{prefix}{key}/")]
    return [(prefix.removesuffix("/"), tree)]


def _apply(result: Any, flat: list[tuple[list[str], Any]]) -> dict[str, Any] | None:
    for path, value in flat:
        owner = result
        for part in path[:-1]:
            owner = _at(owner, part)
        old = _at(owner, path[-1])
        if old is ... or (value == {} and isinstance(value, dict)) != isinstance(old, dict):
            return None
        if not isinstance(old, dict):
            owner[_key(owner, path[-1])] = value
    return result  # type: ignore[no-any-return]


def _key(owner: Any, part: str) -> Any:
    return int(part) if part.isdigit() else part


def _at(owner: Any, part: str) -> Any:
    try:
        return owner[_key(owner, part)]
    except (KeyError, IndexError, TypeError):
        return ...
