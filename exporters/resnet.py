"""ResNet, ResNeXt and Wide ResNet from a torchvision checkpoint to ONNX.

python exporters/resnet.py resnet101 --weights resnet101-63fe2227.pth --layer layer4 -o resnet101.onnx
"""

import sys

from dff_onnx.export.script import export_script

sys.exit(export_script("resnet", __doc__, "relu1, maxpool, layer1.0 ... layer4.2, layer1 ... layer4"))
