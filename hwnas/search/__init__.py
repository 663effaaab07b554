"""Search strategies: ask for candidates, tell what came of them."""

from hwnas.search.lemonade import Lemonade, LemonadeSettings
from hwnas.search.strategy import Ask, CheapValues, Strategy

__all__ = ["Ask", "CheapValues", "Lemonade", "LemonadeSettings", "Strategy"]
