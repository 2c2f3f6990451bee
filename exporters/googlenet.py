"""GoogLeNet from a torchvision checkpoint to ONNX.

python exporters/googlenet.py googlenet --weights googlenet-1378be20.pth --layer inception5b -o googlenet.onnx
"""

import sys

from dff_onnx.export.script import export_script

sys.exit(export_script("googlenet", __doc__, "relu1 ... relu3, maxpool1 ... maxpool4, inception3a ... inception5b"))
