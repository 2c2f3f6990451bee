"""torchvision's own networks, and what hooks see in them: the reference for everything exported."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import re
from collections import OrderedDict
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

# Kept as long as the process: PyTorch forgets the operators with it.
_SCHEMAS = torch.library.Library("torchvision", "FRAGMENT")


@cache
def torchvision_models() -> ModuleType:
    """`torchvision.models`, also beside a PyTorch that torchvision's compiled operators were not made for.

    The networks are Python; importing them only wants the operators (`nms`, ...) to be declared.
    """
    found = importlib.util.find_spec("torchvision")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent
    try:
        torch.ops.load_library(str(next(folder.glob("_C*.so"))))
    except (OSError, StopIteration):
        registrations = (folder / "_meta_registrations.py").read_text(encoding="utf-8")
        for name in sorted(set(re.findall(r'register_(?:meta|fake)\("(?:torchvision::)?(\w+)"', registrations))):
            _SCHEMAS.define(f"{name}(Tensor x) -> Tensor")
    return importlib.import_module("torchvision.models")


def make(name: str, classes: int = 1000) -> nn.Module:
    """torchvision's network, with its own initial weights."""
    options = {"init_weights": True, "aux_logits": False} if name == "googlenet" else {}
    network: nn.Module = torchvision_models().get_model(name, weights=None, num_classes=classes, **options)
    return network


def randomised(name: str, seed: int = 0) -> nn.Module:
    """Random weights of a size that keeps activations alive, and batch norms that do something."""
    torch.manual_seed(seed)
    network = make(name, classes=7).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.2)
            nn.init.normal_(module.bias, 0, 0.1)
    return network


def values_at(network: nn.Module, modules: dict[str, str], pixels: Any) -> dict[str, Any]:
    """What hooks at these modules see, copied at once: a later in-place ReLU would change it.

    Computed in float64, so that only one side rounds.
    """
    network = copy.deepcopy(network).double()
    found: OrderedDict[str, Any] = OrderedDict()

    def keep(layer: str) -> Any:
        return lambda _module, _inputs, output: found.__setitem__(layer, output.detach().clone().numpy())

    handles = [network.get_submodule(module).register_forward_hook(keep(layer)) for layer, module in modules.items()]
    try:
        with torch.no_grad():
            network(torch.from_numpy(pixels).double())
    finally:
        for handle in handles:
            handle.remove()
    return found
