"""`python -m dff_onnx` is `dff-onnx`."""

from dff_onnx.cli import main

main()
