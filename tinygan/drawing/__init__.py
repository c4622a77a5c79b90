"""Drawings of computation graphs: forward and backward on one canvas, for a terminal, a notebook or a file."""

from .front import draw
from .graph import Graph
from .nodes import Edge, Node

__all__ = ["Edge", "Graph", "Node", "draw"]
