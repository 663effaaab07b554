"""Search strategies: ask for candidates, tell what came of them."""

from hwnas.search.guarded import Guarded
from hwnas.search.halving import AsyncRungs, promoted
from hwnas.search.history import History, broken_limit
from hwnas.search.lemonade import Lemonade, LemonadeSettings
from hwnas.search.proposals import Proposal, Proposals
from hwnas.search.registry import STRATEGIES, name_of, strategy_of, table_of
from hwnas.search.strategy import Ask, CheapValues, OperatorFailure, Problem, Strategy, StrategySettings
from hwnas.search.tuning import TunedSetting
from hwnas.settings import Rungs

__all__ = [
    "STRATEGIES",
    "Ask",
    "AsyncRungs",
    "CheapValues",
    "Guarded",
    "History",
    "Lemonade",
    "LemonadeSettings",
    "OperatorFailure",
    "Problem",
    "Proposal",
    "Proposals",
    "Rungs",
    "Strategy",
    "StrategySettings",
    "TunedSetting",
    "broken_limit",
    "name_of",
    "promoted",
    "strategy_of",
    "table_of",
]
