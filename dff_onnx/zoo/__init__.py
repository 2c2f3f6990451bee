"""Networks by name: their cards, where their weights come from, and the cache they are kept in."""

from dff_onnx.zoo.card import Card, Weights, cards, read_card
from dff_onnx.zoo.find import FoundModel, find_model

__all__ = ["Card", "FoundModel", "Weights", "cards", "find_model", "read_card"]
