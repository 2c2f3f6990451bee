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
