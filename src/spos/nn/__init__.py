"""Modules that read a choice; everything else in a supernet is ordinary PyTorch."""

from spos.nn.choice import ChoiceModule
from spos.nn.one_of import OneOf

__all__ = ["ChoiceModule", "OneOf"]
