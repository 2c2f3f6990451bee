"""Where settings differ, in words."""

from __future__ import annotations

from dff_onnx.differences import differences


def test_only_what_differs_is_told_with_both_values() -> None:
    there = {"size": 320, "k": 12, "network": {"layer": "features", "sha": "a" * 64}}
    assert differences(there, there) == ""
    now = {"size": 224, "k": 12, "network": {"layer": "fire5", "sha": "b" * 64}, "whitening": "w"}
    assert differences(there, now) == (
        "size 320 there, 224 now; network.layer 'features' there, 'fire5' now; "
        "network.sha aaaaaaaaaaaa there, bbbbbbbbbbbb now; "
        "whitening none there, 'w' now"
    )


def test_a_value_of_a_hostile_file_stays_on_its_line_and_is_short() -> None:
    told = differences({"pool": "\x1b[2J\n" * 1000}, {"pool": "mean"})
    assert told.isprintable() and len(told) < 200
