"""AlexNet from a torchvision checkpoint to ONNX.

python exporters/alexnet.py alexnet --weights alexnet-owt-7be5be79.pth --layer relu5 -o alexnet.onnx
"""

import sys

from dff_onnx.export.script import export_script

sys.exit(export_script("alexnet", __doc__, "relu1 ... relu5, pool1, pool2, pool5"))
