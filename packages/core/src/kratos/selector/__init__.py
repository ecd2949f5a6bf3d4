"""Selection: nodes, filters over them, and the strategies that pick one per call."""

from kratos.selector.node import NO_NODES, Node, NodeFilter, NodeSet
from kratos.selector.outcome import Outcome, OutcomeKind

__all__ = ["NO_NODES", "Node", "NodeFilter", "NodeSet", "Outcome", "OutcomeKind"]
