"""Selection: nodes, filters over them, and the strategies that pick one per call."""

from kratos.selector._candidates import no_available_node
from kratos.selector.filters import version
from kratos.selector.node import NO_NODES, Node, NodeFilter, NodeSet
from kratos.selector.outcome import Outcome, OutcomeKind
from kratos.selector.p2c import PowerOfTwoChoices
from kratos.selector.random import RandomChoice
from kratos.selector.selector import Pick, Selector
from kratos.selector.wrr import WeightedRoundRobin

__all__ = [
    "NO_NODES",
    "Node",
    "NodeFilter",
    "NodeSet",
    "Outcome",
    "OutcomeKind",
    "Pick",
    "PowerOfTwoChoices",
    "RandomChoice",
    "Selector",
    "WeightedRoundRobin",
    "no_available_node",
    "version",
]
