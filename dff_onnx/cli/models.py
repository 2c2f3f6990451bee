"""`dff-onnx models list|show|get`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dff_onnx.cli.options import CardFile

if TYPE_CHECKING:
    from dff_onnx.zoo.card import Card

models = typer.Typer(
    help="Networks that are known by name: list them, show their cards, fetch them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str | None, typer.Argument(help="A name from `dff-onnx models list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the networks that --model takes by name."""
    from dff_onnx.zoo.card import cards

    known = cards().values()
    if as_json:
        typer.echo(json.dumps([_state(card) for card in known], indent=2))
        return
    typer.echo(f"{'name':<14} {'layer':<12} {'download':>10}  {'here':<4}  title")
    for card in known:
        here = "yes" if _state(card)["cached"] else "no"
        size = f"{card.weights.mib:.0f} MiB" if card.weights else "-"
        typer.echo(f"{card.name:<14} {card.layer:<12} {size:>10}  {here:<4}  {_cut(card.title, 33)}")


@models.command()
def show(name: Name = None, card: CardFile = None, as_json: AsJson = False) -> None:
    """Show a network's card, and where its files are or would be."""
    state = _state(_chosen(name, card))
    if as_json:
        typer.echo(json.dumps(state, indent=2))
        return
    weights = state.pop("weights") or {}
    preprocessing = state.pop("preprocessing")
    lines = {
        **state,
        "layers": ", ".join(state["layers"]),
        **{key: value for key, value in weights.items() if value},
        **{key: preprocessing[key] for key in ("channels", "mean", "std", "scale")},
    }
    for key, value in lines.items():
        if value not in ("", None):
            typer.echo(f"{key:<13} {value}")


@models.command()
def get(
    name: Name = None,
    card: CardFile = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also copy the ONNX file there.")] = None,
) -> None:
    """Download a network's weights and make its ONNX file; print where it is."""
    from dff_onnx.cli.progress import shown
    from dff_onnx.files import write_atomically
    from dff_onnx.zoo.find import found_by_card

    chosen = _chosen(name, card)
    with shown() as progress:
        path = found_by_card(chosen, progress=progress).path
    if output:
        write_atomically(output, path.read_bytes())
    typer.echo(str(output or path))


def _chosen(name: str | None, card: Path | None) -> Card:
    from dff_onnx.errors import UsageError
    from dff_onnx.zoo.card import read_card
    from dff_onnx.zoo.find import card_named

    if (name is None) == (card is None):
        raise UsageError("give the name of a network (`dff-onnx models list`) or a card (--card FILE)")
    return read_card(card) if card else card_named(str(name))


def _state(card: Card) -> dict[str, Any]:
    from dff_onnx.zoo.find import onnx_file, weights_file

    made = onnx_file(card)
    return card.to_dict() | {
        "cached": made.is_file(),
        "onnx_file": str(made),
        "weights_file": str(weights_file(card)) if card.weights else None,
    }


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
