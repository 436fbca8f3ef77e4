"""Modules that read a choice; everything else in a supernet is ordinary PyTorch."""

from spos.nn.choice import ChoiceModule
from spos.nn.elastic import ElasticBatchNorm2d, ElasticConv2d, ElasticLayerNorm, ElasticLinear
from spos.nn.one_of import OneOf
from spos.nn.searchable import Searchable
from spos.nn.width import FixedWidth, Width

__all__ = [
    "ChoiceModule",
    "ElasticBatchNorm2d",
    "ElasticConv2d",
    "ElasticLayerNorm",
    "ElasticLinear",
    "FixedWidth",
    "OneOf",
    "Searchable",
    "Width",
]
