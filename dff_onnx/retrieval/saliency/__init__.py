"""What stands out in a picture, and among pictures: saliency maps, their regions, votes of other pictures. Pure.

Simeoni, Iscen, Tolias, Avrithis, Chum: "Unsupervised object discovery for instance recognition" (2017,
arXiv:1709.04725). Sizes and constants that are not published are ours; each file says which.
"""

from dff_onnx.retrieval.saliency.feature_saliency import feature_saliency, sparsity_weights, unit_peak
from dff_onnx.retrieval.saliency.gaussian_mixture import Mixture, expanding_mixture
from dff_onnx.retrieval.saliency.maxima import Maxima, local_maxima
from dff_onnx.retrieval.saliency.object_saliency import RegionVotes, cell_vectors, object_saliency
from dff_onnx.retrieval.saliency.regions import SalientRegions, mixture_windows, salient_regions, window_scores

__all__ = [
    "Maxima",
    "Mixture",
    "RegionVotes",
    "SalientRegions",
    "cell_vectors",
    "expanding_mixture",
    "feature_saliency",
    "local_maxima",
    "mixture_windows",
    "object_saliency",
    "salient_regions",
    "sparsity_weights",
    "unit_peak",
    "window_scores",
]
