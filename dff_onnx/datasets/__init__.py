"""Data sets as others publish them: pictures in groups, with boxes, masks and parts."""

from dff_onnx.datasets.boxes_csv import read_boxes
from dff_onnx.datasets.dataset import Annotated, DataSet, Group, MaskSource, PartMasks, PartSource, Truth
from dff_onnx.datasets.icoseg import read_icoseg
from dff_onnx.datasets.mask_files import MaskFile, NumberedParts, PartFolder
from dff_onnx.datasets.masks import read_masks
from dff_onnx.datasets.part_names import PartNames, read_part_names
from dff_onnx.datasets.pascal_part import PartAnnotation, PartObject, read_pascal_part
from dff_onnx.datasets.voc import CLASSES, Rule, read_voc
from dff_onnx.datasets.voc_xml import VocObject

__all__ = [
    "CLASSES",
    "Annotated",
    "DataSet",
    "Group",
    "MaskFile",
    "MaskSource",
    "NumberedParts",
    "PartAnnotation",
    "PartFolder",
    "PartMasks",
    "PartNames",
    "PartObject",
    "PartSource",
    "Rule",
    "Truth",
    "VocObject",
    "read_boxes",
    "read_icoseg",
    "read_masks",
    "read_part_names",
    "read_pascal_part",
    "read_voc",
]
