"""Where settings differ, in words."""

from __future__ import annotations

from dff_onnx.differences import told_differences


def test_only_what_differs_is_told_with_both_values() -> None:
    there = {"size": 320, "k": 12, "network": {"layer": "features", "sha": "a" * 64}}
    assert told_differences(there, there) == ""
    now = {"size": 224, "k": 12, "network": {"layer": "fire5", "sha": "b" * 64}, "whitening": "w"}
    assert told_differences(there, now) == (
        "network.layer: 'features' there, 'fire5' now; "
        "network.sha: 'aaaaaaaaaaaa...' there, 'bbbbbbbbbbbb...' now; "
        "size: 320 there, 224 now; "
        "whitening: nothing there, 'w' now"
    )


def test_a_value_of_a_hostile_file_stays_on_its_line_and_is_short() -> None:
    told = told_differences({"pool": "\x1b[2J\n" * 1000}, {"pool": "mean"})
    assert told.isprintable() and len(told) < 300


def test_lists_that_differ_inside_are_told() -> None:
    assert told_differences({"grid": [[1, 2], [3]]}, {"grid": [[1, 2], [4]]}) == (
        "grid: [[1, 2], [3]] there, [[1, 2], [4]] now"
    )
    assert told_differences({"bands": [{"k": 1}]}, {"bands": [{"k": 2}]}) == "bands: [...] there, [...] now"
    assert told_differences({"scales": [1.0, (2,)]}, {"scales": (1, [2.0])}) == ""


def test_numbers_are_compared_by_value_and_no_number_is_a_truth() -> None:
    assert told_differences({"percentile": 75.0, "n": {"k": [2]}}, {"percentile": 75, "n": {"k": [2.0]}}) == ""
    assert told_differences({"regions": True}, {"regions": 1}) == "regions: True there, 1 now"
    assert told_differences({"k": None}, {}) == "k: None there, nothing now"


def test_lists_of_a_hostile_file_can_be_as_deep_as_they_like() -> None:
    deep: list[object] = []
    other: list[object] = [1]
    for _ in range(100_000):
        deep, other = [deep], [other]
    assert told_differences({"a": deep}, {"a": other}) == "a: [[[[[[...]]]]]] there, [[[[[[...]]]]]] now"
    assert told_differences({"a": deep}, {"a": deep}) == ""
