"""ResNet, ResNeXt and Wide ResNet from a torchvision checkpoint to ONNX.

python exporters/resnet.py resnet101 --weights resnet101-63fe2227.pth --layer layer4 -o resnet101.onnx
"""

import argparse
import sys

from dff_onnx.errors import DffError
from dff_onnx.export import FAMILIES, export_file
from dff_onnx.records import Preprocessing

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("architecture", choices=FAMILIES["resnet"].names)
arguments.add_argument("--weights", required=True, help="a .pth (torch.save) or .safetensors file")
arguments.add_argument(
    "--layer",
    action="append",
    default=[],
    help="relu1, maxpool, layer1.0 ... layer4.2, layer1 ... layer4; may be repeated; default: the deepest",
)
arguments.add_argument("--input", choices=["uint8", "float"], default="uint8", help="pixels, or normalised planes")
arguments.add_argument("-o", "--output", required=True, help="the ONNX file to write")
chosen = arguments.parse_args()

planes = Preprocessing(layout="NCHW", dtype="float32")
try:
    written = export_file(
        chosen.architecture,
        chosen.weights,
        chosen.output,
        chosen.layer,
        planes if chosen.input == "float" else Preprocessing(),
    )
except DffError as error:
    print(f"resnet.py: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
print(written.path, *(layer.name for layer in written.metadata.layers), file=sys.stderr)
