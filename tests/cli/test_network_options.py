"""The options of a network, said once: every command that takes them shows them, and gets what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from dff_onnx.cli import app
from dff_onnx.cli.network import DeviceChoice
from dff_onnx.cli.network_options import NetworkOptions, of_network, with_network

OPTIONS = {
    "--model", "--card", "--layer", "--device", "--cuda-graph", "--rectify", "--split", "--mean", "--std", "--scale",
    "--channel-order",
}  # fmt: skip


def run(words: list[str], of_index: bool = False) -> tuple[str, NetworkOptions, bool]:
    """What a command gets."""
    got: list[Any] = []

    @with_network(of_index)
    def command(folder: Annotated[str, typer.Argument()], again: bool = False, *, network: NetworkOptions) -> None:
        got.extend((folder, network, again))

    alone = typer.Typer()
    alone.command()(command)
    ended = CliRunner().invoke(alone, words)
    assert ended.exit_code == 0, ended.output
    return got[0], got[1], got[2]


def test_a_command_gets_its_own_options_and_the_networks() -> None:
    words = [
        "here",
        "--again",
        "--layer",
        "relu1",
        "--rectify",
        "--device",
        "cpu",
        "--card",
        "x.toml",
        "--scale",
        "0.5",
    ]
    folder, network, again = run(words)
    assert (folder, again) == ("here", True)
    assert network == of_network(layer="relu1", rectify=True, device=DeviceChoice.cpu, card=Path("x.toml"), scale=0.5)


def test_a_network_is_the_embedded_one_but_where_an_index_may_know_it() -> None:
    assert run(["x"])[1] == of_network() and of_network().model == "compact"
    assert run(["x"], of_index=True)[1].model is None
    assert run(["x", "--model", "n.onnx"], of_index=True)[1].model == "n.onnx"


@pytest.mark.parametrize("name", ["index", "whiten", "features", "eval retrieval", "eval where"])
def test_commands_have_all_of_them_and_no_option_of_another_name(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    named = {option for parameter in command.params for option in parameter.opts}
    assert named >= OPTIONS and "--network" not in named and "network" not in named
