"""A network without a pooled head gets one, as in the paper on class activation maps; to be trained by finetune.py.

python exporters/gap.py vgg16 --weights vgg16-397923af.pth --layer relu5_3 --classes 21 -o start.safetensors
"""

import sys

from dff_onnx.export.gap_script import gap_script

sys.exit(gap_script(__doc__))
