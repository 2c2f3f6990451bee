"""VGG-11, 13, 16 and 19, with or without batch norm, from a torchvision checkpoint to ONNX.

python exporters/vgg.py vgg19 --weights vgg19-dcbb9e9d.pth --layer relu5_4 -o vgg19.onnx
"""

import sys

from dff_onnx.export.script import export_script

sys.exit(export_script("vgg", __doc__, "relu1_1 ... relu5_4, pool1 ... pool5"))
