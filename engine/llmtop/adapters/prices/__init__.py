"""Where unit prices come from: the config's `[prices]`, else the genai-prices table, else unknown.

A cost that an answer reports wins over all of this; that is the caller's part. Nothing here
touches the network: the table ships with its package.
"""

from llmtop.adapters.prices.find import find_prices
from llmtop.adapters.prices.own import FixedPricer, UnknownPricer

__all__ = ["FixedPricer", "UnknownPricer", "find_prices"]
