"""The gradient of a classifier's scores at a layer, as an ONNX file for Grad-CAM. Needs PyTorch and onnxscript
(pip install 'dff-onnx[torch]').

python exporters/tail_gradient.py classifier.onnx --layer NAME -o tail_grad.onnx
"""

import argparse
import sys

from dff_onnx.errors import DffError
from dff_onnx.export.tail_gradient import export_tail_gradient


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classifier", help="an ONNX file from pictures to scores")
    parser.add_argument("--layer", required=True, help="the tensor whose features are mapped (`dff-onnx layers`)")
    parser.add_argument("--answer", help="the tensor of the scores, where the file has several answers")
    parser.add_argument("-o", "--output", required=True, help="the ONNX file to write")
    chosen = parser.parse_args()
    try:
        made = export_tail_gradient(chosen.classifier, chosen.layer, chosen.output, answer=chosen.answer)
    except DffError as error:
        sys.stderr.write(f"tail_gradient.py: {error}\n")
        return error.exit_code
    free = "grids of any size" if made.fixed[1] is None else f"grids of {made.fixed[1]}x{made.fixed[2]} only"
    sys.stderr.write(
        f"{made.path}: gradient at {made.layer} of {made.classes} scores, {free}; differs from PyTorch by "
        f"{made.difference:.1e} of the largest value\n"
    )
    return 0


sys.exit(main())
