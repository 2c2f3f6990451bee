"""Any PyTorch network, truncated at a submodule, to ONNX. Needs PyTorch and onnxscript (pip install 'dff-onnx[torch]').

python exporters/torch_module.py mypackage.nets:network --weights net.pth --layer backbone.stage3 -o net.onnx
python exporters/torch_module.py torchvision:densenet121 --weights densenet121-a639ec97.pth --list
"""

import sys

from dff_onnx.export.torch_script import torch_script

sys.exit(torch_script(__doc__))
