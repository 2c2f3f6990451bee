"""Data sets as others publish them: pictures in groups, with boxes, masks and parts."""

from dff_onnx.datasets.boxes_csv import read_boxes
from dff_onnx.datasets.class_folders import read_class_folders
from dff_onnx.datasets.class_names import ClassNames, imagenet_names, names_for, read_class_names
from dff_onnx.datasets.dataset import Annotated, DataSet, Group, MaskSource, PartMasks, PartSource, Truth
from dff_onnx.datasets.holidays import read_holidays
from dff_onnx.datasets.icoseg import read_icoseg
from dff_onnx.datasets.ilsvrc import Ilsvrc, IlsvrcPicture, read_ilsvrc
from dff_onnx.datasets.ilsvrc_predictions import Predictions, read_predictions
from dff_onnx.datasets.instre import read_instre
from dff_onnx.datasets.mask_files import MaskFile, NumberedParts, PartFolder
from dff_onnx.datasets.masks import read_masks
from dff_onnx.datasets.oxford import PARIS_CORRUPT, read_oxford
from dff_onnx.datasets.part_names import PartNames, read_part_names
from dff_onnx.datasets.pascal_part import PartAnnotation, PartObject, read_pascal_part
from dff_onnx.datasets.retrieval_set import (
    Relevance,
    RetrievalQuery,
    RetrievalSet,
    relevance,
    without_images,
    without_queries,
)
from dff_onnx.datasets.revisited import read_revisited
from dff_onnx.datasets.voc import CLASSES, Rule, read_voc
from dff_onnx.datasets.voc_xml import VocObject

__all__ = [
    "CLASSES",
    "PARIS_CORRUPT",
    "Annotated",
    "ClassNames",
    "DataSet",
    "Group",
    "Ilsvrc",
    "IlsvrcPicture",
    "MaskFile",
    "MaskSource",
    "NumberedParts",
    "PartAnnotation",
    "PartFolder",
    "PartMasks",
    "PartNames",
    "PartObject",
    "PartSource",
    "Predictions",
    "Relevance",
    "RetrievalQuery",
    "RetrievalSet",
    "Rule",
    "Truth",
    "VocObject",
    "imagenet_names",
    "names_for",
    "read_boxes",
    "read_class_folders",
    "read_class_names",
    "read_holidays",
    "read_icoseg",
    "read_ilsvrc",
    "read_instre",
    "read_masks",
    "read_oxford",
    "read_part_names",
    "read_pascal_part",
    "read_predictions",
    "read_revisited",
    "read_voc",
    "relevance",
    "without_images",
    "without_queries",
]
