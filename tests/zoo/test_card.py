"""Cards: those that travel along are true, others are read or refused with the word that is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.errors import ModelError, UsageError
from dff_onnx.export.architectures import network, usual_preprocessing
from dff_onnx.zoo.card import cards, read_card

OWN = """
name = "mine"
architecture = "vgg11"
layer = "relu1_1"
[weights]
url = "https://example.org/models/mine-01234567.pth"
sha256 = "01234567"
"""


def read(text: str, folder: Path) -> object:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return read_card(folder / "mine.toml")


def test_every_network_asked_for_has_a_card() -> None:
    assert set(cards()) == {
        "alexnet", "compact", "googlenet", "resnet18", "resnet34", "resnet50", "resnet101", "squeezenet1_1",
        "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(cards()))
def test_a_card_says_the_truth_about_its_network(name: str) -> None:
    card = cards()[name]
    assert card.path.stem == name and card.title and card.licence and card.source
    assert card.layer == card.layers[-1]
    if name == "compact":
        assert card.weights is None
        return
    plan = network(card.architecture)
    names = [layer.name for layer in plan.layers]
    assert list(card.layers) == names[: names.index(card.layer) + 1]
    assert card.layer == next(layer for layer in reversed(names) if layer not in plan.pools)
    assert card.preprocessing == usual_preprocessing(name)
    assert card.weights is not None
    # The official file name ends in the beginning of its digest.
    assert re.fullmatch(
        rf"https://download\.pytorch\.org/models/{name}(-owt)?-{card.weights.sha256}\.pth", card.weights.url
    )
    assert card.weights.mib > 4


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
@pytest.mark.parametrize("name", sorted(set(cards()) - {"compact"}))
def test_addresses_and_sizes_are_torchvisions_own(name: str) -> None:
    from torch_networks import torchvision_models

    enumeration, member = cards()[name].source.split(", ")[1].split(".")
    official = getattr(getattr(torchvision_models(), enumeration), member)
    weights = cards()[name].weights
    assert weights is not None
    assert (weights.url, weights.mib) == (official.url, official.meta["_file_size"])


def test_a_card_of_ones_own_needs_little(tmp_path: Path) -> None:
    card = read_card(tmp_path / "mine.toml") if read(OWN, tmp_path) else None
    assert card is not None and card.layers == ("relu1_1",) and card.preprocessing == usual_preprocessing("vgg11")
    assert card.weights is not None and card.weights.file_name == "mine-01234567.pth"
    renamed = read(OWN.replace("mine-01234567.pth", "a%20b.pth").replace("a%20b", "best"), tmp_path)
    assert renamed.weights.file_name == "01234567-best.pth"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("name = ", "nom = ", "it says nom, which no card has"),
        ('"mine"', '"../mine"', "its name must be of letters"),
        ('layer = "relu1_1"', "", "it has no layer"),
        ("vgg11", "vgg12", "architecture is 'vgg12', and there are vgg11"),
        ("https:", "file:", "must begin with https://"),
        ("https://example.org/models/", "https:///", "must begin with https://"),
        ("mine-01234567.pth", "née-01234567.pth", "must be of ASCII"),
        ("mine-01234567.pth", "", "must end in a plain file name"),
        ("mine-01234567.pth", "%2e%2e%2fmine-01234567.pth%00", "must end in a plain file name"),
        ('sha256 = "01234567"', 'sha256 = "0123456"', "8 to 64 hexadecimal digits"),
        ('sha256 = "01234567"', 'sha256 = "0123456G"', "8 to 64 hexadecimal digits"),
        ('sha256 = "01234567"', "mib = -1", "hexadecimal"),
        ("[weights]", "[preprocessing]\nstd = [0, 1, 1]\n[weights]", "std"),
        ("[weights]", "[preprocessing]\nmode = 1\n[weights]", "preprocessing.mode"),
        ("[weights]", "layers = 3\n[weights]", "layers must be a list"),
        ("[weights]", "[[weights]]", "weights must be a table"),
        ('name = "mine"', 'name = "mine', "is no card"),
        ('name = "mine"', 'name = "mine"\ntitle = "a\\nb"', "title must be text of one line"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_its_word(was: str, now: str, said: str, tmp_path: Path) -> None:
    assert was in OWN
    with pytest.raises(ModelError, match=re.escape(said)) as caught:
        read(OWN.replace(was, now, 1), tmp_path)
    assert "mine.toml" in str(caught.value)


def test_a_card_that_is_not_there_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_card(tmp_path / "none.toml")


@tiers("mutated model cards")
def test_a_mutated_card_is_read_or_refused_with_its_file(cases: range, tmp_path: Path) -> None:
    goods = [OWN.encode(), *(card.path.read_bytes() for card in cards().values())]
    path = tmp_path / "mine.toml"

    def judge(number: int, rng: np.random.Generator) -> str:
        path.write_bytes(mutated(goods[number % len(goods)], rng, b"" if number % 2 else b'="[]\n0.x\\'))
        try:
            card = read_card(path)
        except (ModelError, UsageError) as error:
            assert "mine.toml" in str(error)
            return "refused"
        assert card.weights is None or urlsplit(card.weights.url).scheme in ("http", "https")
        return "read"

    found = each(cases, judge)
    assert found["refused"] > len(cases) / 4 and found["read"]
