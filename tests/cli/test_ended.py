"""What is told when a signal ends the program."""

from __future__ import annotations

import signal

import pytest

from dff_onnx.cli.ended import EndedError

ON, AGAIN = "this goes on from where it was", "this begins it again"


@pytest.mark.parametrize(
    ("words", "does"),
    [
        (["run", "my cats", "-o", "out"], ON),
        (["cam", "cats", "-o", "out"], ON),
        (["eval", "coseg", "set", "-o", "out"], ON),
        (["eval", "coseg", "set", "--output=out"], ON),
        (["eval", "coseg", "set", "-oout"], ON),
        (["eval", "coseg", "set"], AGAIN),
        (["run", "cats", "-o", "out", "--cluster", "tcp://a:8786"], AGAIN),
        (["eval", "where", "set", "-o", "out"], ON),
        (["eval", "ilsvrc", "set", "-o", "out"], AGAIN),
        (["eval"], AGAIN),
        (["label", "run"], AGAIN),
        ([], AGAIN),
    ],
)
def test_the_command_that_goes_on_is_told_as_a_shell_takes_it(words: list[str], does: str) -> None:
    ended = EndedError(signal.SIGTERM)
    said = ended.told(words)
    assert said.startswith(f"dff-onnx: ended by SIGTERM; {does}: dff-onnx") and ended.exit_code == 143
    assert "'my cats'" in said or "my cats" not in words
