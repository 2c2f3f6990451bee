"""A classifier with class maps, from a checkpoint and a folder of photographs for each class. Needs PyTorch.

python exporters/finetune.py PHOTOS vgg16 --weights vgg16-397923af.pth --layer relu5_3 --work WORK -o out.onnx
"""

import sys

from dff_onnx.export.finetuning.script import finetune_script

sys.exit(finetune_script(__doc__))
