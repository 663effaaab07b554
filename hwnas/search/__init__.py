"""Search strategies: ask for candidates, tell what came of them."""

from hwnas.search.halving import Arrivals, Rungs, going_on
from hwnas.search.lemonade import Lemonade, LemonadeSettings
from hwnas.search.strategy import Ask, CheapValues, OperatorFailure, Strategy

__all__ = ["Arrivals", "Ask", "CheapValues", "Lemonade", "LemonadeSettings", "OperatorFailure", "Rungs", "Strategy", "going_on"]
