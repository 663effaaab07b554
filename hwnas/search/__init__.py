"""Search strategies: ask for candidates, tell what came of them."""

from hwnas.search.halving import Arrivals, going_on
from hwnas.search.lemonade import Lemonade
from hwnas.search.strategy import Ask, CheapValues, OperatorFailure, Strategy
from hwnas.settings import LemonadeSettings, Rungs

__all__ = ["Arrivals", "Ask", "CheapValues", "Lemonade", "LemonadeSettings", "OperatorFailure", "Rungs", "Strategy", "going_on"]
