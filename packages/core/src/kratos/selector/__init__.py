"""Selection: nodes, filters over them, and the strategies that pick one per call."""

from kratos.selector._candidates import no_available_node
from kratos.selector.filters import region, version
from kratos.selector.hash import ConsistentHash, HashKey, key_of_call
from kratos.selector.least import LeastLoaded
from kratos.selector.node import NO_NODES, Node, NodeFilter, NodeSet
from kratos.selector.outcome import Outcome, OutcomeKind
from kratos.selector.outlier import Ejected, OutlierEjection
from kratos.selector.p2c import PowerOfTwoChoices
from kratos.selector.random import RandomChoice
from kratos.selector.selector import Pick, Selector
from kratos.selector.slow_start import SlowStart
from kratos.selector.wrr import WeightedRoundRobin

__all__ = [
    "NO_NODES",
    "ConsistentHash",
    "Ejected",
    "HashKey",
    "LeastLoaded",
    "Node",
    "NodeFilter",
    "NodeSet",
    "Outcome",
    "OutcomeKind",
    "OutlierEjection",
    "Pick",
    "PowerOfTwoChoices",
    "RandomChoice",
    "Selector",
    "SlowStart",
    "WeightedRoundRobin",
    "key_of_call",
    "no_available_node",
    "region",
    "version",
]
