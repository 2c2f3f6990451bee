"""VGG-11, 13, 16 and 19, with or without batch norm, from a torchvision checkpoint to ONNX.

python exporters/vgg.py vgg19 --weights vgg19-dcbb9e9d.pth --layer relu5_4 -o vgg19.onnx
"""

import argparse
import sys

from dff_onnx.errors import DffError
from dff_onnx.export import FAMILIES, export_file
from dff_onnx.records import Preprocessing

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("architecture", choices=FAMILIES["vgg"].names)
arguments.add_argument("--weights", required=True, help="a .pth (torch.save) or .safetensors file")
arguments.add_argument(
    "--layer",
    action="append",
    default=[],
    help="relu1_1 ... relu5_4, pool1 ... pool5; may be repeated; default: the deepest",
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
    print(f"vgg.py: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
print(written.path, *(layer.name for layer in written.metadata.layers), file=sys.stderr)
