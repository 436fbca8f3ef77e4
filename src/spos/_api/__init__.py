"""Everything in one call."""

from spos._api.call import search
from spos._api.found import FoundNetwork

__all__ = ["FoundNetwork", "search"]
