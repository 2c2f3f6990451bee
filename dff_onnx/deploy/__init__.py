"""One ONNX file, anywhere: concepts, class maps and the factorization itself as graphs; quantized networks."""

from dff_onnx.deploy.assemble import compiled_bank, compiled_fit
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.metadata import Compiled, CompiledConcept, compiled_of

__all__ = ["Compiled", "CompiledConcept", "Form", "compiled_bank", "compiled_fit", "compiled_of"]
