"""A small backbone from larger ones: distillation on a folder of photographs. Needs PyTorch.

python exporters/distill.py PHOTOS --work WORK -o student.onnx --teacher resnet50.onnx@448 --energy squeezenet.onnx@448
"""

import sys

from dff_onnx.export.distillation.script import distill_script

sys.exit(distill_script(__doc__))
