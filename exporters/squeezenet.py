"""SqueezeNet 1.0 and 1.1 from a torchvision checkpoint to ONNX.

python exporters/squeezenet.py squeezenet1_1 --weights squeezenet1_1-b8a52dc0.pth --layer fire9 -o squeezenet1_1.onnx
"""

import sys

from dff_onnx.export.script import export_script

sys.exit(export_script("squeezenet", __doc__, "relu1, fire2 ... fire9, pool1 ..."))
