"""Networks become ONNX backbones: from a checkpoint without PyTorch."""

from dff_onnx.export.architectures import ARCHITECTURES, FAMILIES
from dff_onnx.export.checkpoint import Checkpoint, open_checkpoint
from dff_onnx.export.exporter import Exported, export, export_file

__all__ = ["ARCHITECTURES", "FAMILIES", "Checkpoint", "Exported", "export", "export_file", "open_checkpoint"]
