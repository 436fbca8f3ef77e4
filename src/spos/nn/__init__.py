"""Searchable modules; everything else in a supernet is ordinary PyTorch."""

from spos.nn.bits import BitPair, Bits, bit_pair
from spos.nn.choice import ChoiceModule, Searchable
from spos.nn.elastic import ElasticBatchNorm2d, ElasticConv2d, ElasticLayerNorm, ElasticLinear
from spos.nn.one_of import OneOf
from spos.nn.quantised import FixedBitsConv2d, QuantisedConv2d
from spos.nn.strided import Stride, StridedConv2d
from spos.nn.width import FixedWidth, Width

__all__ = [
    "BitPair",
    "Bits",
    "ChoiceModule",
    "ElasticBatchNorm2d",
    "ElasticConv2d",
    "ElasticLayerNorm",
    "ElasticLinear",
    "FixedBitsConv2d",
    "FixedWidth",
    "OneOf",
    "QuantisedConv2d",
    "Searchable",
    "Stride",
    "StridedConv2d",
    "Width",
    "bit_pair",
]
