"""CUDA graphs: work that is written down, by capture of a stream or node by node, and carried out later, as often as wanted.

Nodes are carried out one after the other, in an order that their dependencies allow. (CUDA Runtime API, "Graph Management")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .cuda_errors import IMPLICIT, INVALID_VALUE, INVALIDATED, UNJOINED, UNMATCHED, UNSUPPORTED, CudaError

KERNEL, MEMCPY, MEMSET, HOST_CALL, CHILD, EMPTY = range(6)
"""Kinds of nodes, as cudaGraphNodeType numbers them."""


@dataclass
class Node:
    """Something to be carried out.

    action: does it, in a stream; place: the number of the place of the program that wrote it down.
    """

    handle: int
    kind: int
    action: Callable[[int], None]
    needs: list[int] = field(default_factory=list)  # handles of the nodes that come before it
    place: int = 0


@dataclass
class Graph:
    """Nodes by their handles, in the order in which they were added."""

    nodes: dict[int, Node] = field(default_factory=dict)

    def ordered(self) -> list[Node]:
        """Return the nodes in an order in which each comes after those that it needs. Raises CudaError for a cycle."""
        done: dict[int, Node] = {}
        while len(done) < len(self.nodes):
            ready = [n for n in self.nodes.values() if n.handle not in done and all(h in done for h in n.needs)]
            if not ready:
                raise CudaError(INVALID_VALUE, "nodes of the graph wait for one another in a circle")
            done[ready[0].handle] = ready[0]
        return list(done.values())

    def edges(self) -> list[tuple[int, int]]:
        """Return (node, node that needs it) of all dependencies."""
        return [(before, node.handle) for node in self.nodes.values() for before in node.needs]

    def copy(self) -> Graph:
        return Graph({h: replace(n, needs=list(n.needs)) for h, n in self.nodes.items()})

    def before(self, handles: set[int]) -> set[int]:
        """Return these nodes and all that come before them."""
        found, work = set(), list(handles)
        while work:
            handle = work.pop()
            if handle not in found:
                found.add(handle)
                work += self.nodes[handle].needs
        return found


@dataclass
class Capture:
    """The capture of a stream and of those that joined it: what each of them did last, as handles of nodes."""

    origin: int
    graph: Graph = field(default_factory=Graph)
    last: dict[int, set[int]] = field(default_factory=dict)  # by stream
    events: dict[int, set[int]] = field(default_factory=dict)  # by event that was recorded in it
    invalid: bool = False
    relaxed: bool = False  # whether cudaMalloc may be called meanwhile


class Graphs:
    """All graphs of a program, and the streams that are being captured.

    new_handle: gives a number that stands for an object; place: the number of the place where the program is.
    """

    def __init__(self, new_handle: Callable[[], int], place: Callable[[], int]):
        self.new_handle, self.place = new_handle, place
        self.graphs: dict[int, Graph] = {}
        self.executables: dict[int, Graph] = {}
        self.captures: list[Capture] = []

    # -- capture ------------------------------------------------------------------------------------------------------------
    def of_stream(self, stream: int) -> Capture | None:
        """Return the capture that a stream takes part in, None where there is none."""
        return next((c for c in self.captures if stream in c.last), None)

    def begin(self, stream: int, relaxed: bool) -> None:
        if stream <= 1:
            raise CudaError(UNSUPPORTED, "the default stream cannot be captured; make one by cudaStreamCreate")
        if self.of_stream(stream):
            raise CudaError(INVALID_VALUE, "the stream is being captured already")
        self.captures.append(Capture(stream, last={stream: set()}, relaxed=relaxed))

    def end(self, stream: int) -> int:
        """End the capture that began in a stream; return the graph."""
        capture = self.of_stream(stream)
        if capture is None:
            raise CudaError(INVALID_VALUE, "the stream is not being captured")
        if capture.origin != stream:
            raise CudaError(UNMATCHED, "the capture did not begin in this stream")
        self.captures.remove(capture)
        if capture.invalid:
            raise CudaError(INVALIDATED, "a call that cannot be captured came between")
        joined = capture.graph.before(capture.last[stream])
        for other, last in capture.last.items():
            if not last <= joined:
                raise CudaError(UNJOINED, f"work of stream {other:#x} was not joined: cudaStreamWaitEvent has to follow it")
        return self.added(capture.graph)

    def taken(self, stream: int, kind: int, action: Callable[[int], None]) -> bool:
        """Note what is done in a stream, if it is being captured; return whether it was."""
        capture = self.of_stream(stream)
        if capture is None:
            if stream <= 1 and self.captures:
                self.captures[-1].invalid = True
                raise CudaError(IMPLICIT, "the default stream waits for one that is being captured")
            return False
        node = self._node(kind, action, list(capture.last[stream]))
        capture.graph.nodes[node.handle] = node
        capture.last[stream] = {node.handle}
        return True

    def recorded(self, event: int, stream: int) -> bool:
        """Note an event of a stream that is being captured; return whether it was."""
        capture = self.of_stream(stream)
        if capture is not None:
            capture.events[event] = set(capture.last[stream])
        return capture is not None

    def waits(self, stream: int, event: int) -> None:
        """Let a stream wait for an event, and join the capture that the event was recorded in."""
        for capture in self.captures:
            if event in capture.events:
                capture.last[stream] = capture.last.get(stream, set()) | capture.events[event]

    def refuse(self, name: str, streams: tuple[int, ...] = (), strict: bool = False, of_event: int = 0) -> None:
        """Raise CudaError where something is called that waits while a stream is being captured.

        streams: if given, those that it waits for; of_event: if given, the event; strict: whether a relaxed capture allows it.
        """
        for capture in self.captures:
            met = any(s in capture.last for s in streams) if streams else of_event in capture.events if of_event else True
            if met and not (strict and capture.relaxed):
                capture.invalid = True
                raise CudaError(UNSUPPORTED, f"{name} cannot be called while a stream is being captured, and ends the capture")

    # -- graphs and nodes -----------------------------------------------------------------------------------------------------
    def added(self, graph: Graph) -> int:
        handle = self.new_handle()
        self.graphs[handle] = graph
        return handle

    def graph(self, handle: int) -> Graph:
        if handle not in self.graphs:
            raise CudaError(INVALID_VALUE, f"{handle:#x} is no graph")
        return self.graphs[handle]

    def executable(self, handle: int) -> Graph:
        if handle not in self.executables:
            raise CudaError(INVALID_VALUE, f"{handle:#x} is no graph that was instantiated")
        return self.executables[handle]

    def _node(self, kind: int, action: Callable[[int], None], needs: list[int]) -> Node:
        return Node(self.new_handle(), kind, action, needs, self.place())

    def add(self, graph: int, kind: int, action: Callable[[int], None], needs: list[int]) -> int:
        """Add a node to a graph; return its handle."""
        owner = self.graph(graph)
        self._own(owner, needs)
        node = self._node(kind, action, needs)
        owner.nodes[node.handle] = node
        return node.handle

    def depend(self, graph: int, before: list[int], after: list[int]) -> None:
        """Let nodes of a graph wait for others of it."""
        owner = self.graph(graph)
        self._own(owner, before + after)
        for first, then in zip(before, after, strict=True):
            owner.nodes[then].needs.append(first)
        owner.ordered()

    @staticmethod
    def _own(graph: Graph, handles: list[int]) -> None:
        for handle in handles:
            if handle not in graph.nodes:
                raise CudaError(INVALID_VALUE, f"{handle:#x} is no node of the graph")

    def kind(self, node: int) -> int:
        for graph in self.graphs.values():
            if node in graph.nodes:
                return graph.nodes[node].kind
        raise CudaError(INVALID_VALUE, f"{node:#x} is no node of a graph")

    def change(self, owner: Graph | None, node: int, kind: int, action: Callable[[int], None]) -> None:
        """Let a node of a graph (None: of whichever has it) do something else of its kind."""
        found = owner or next((g for g in self.graphs.values() if node in g.nodes), Graph())
        if node not in found.nodes or found.nodes[node].kind != kind:
            raise CudaError(INVALID_VALUE, f"{node:#x} is no node of that kind in the graph")
        found.nodes[node] = replace(found.nodes[node], action=action, place=self.place())

    def instantiate(self, graph: int) -> int:
        made = self.graph(graph).copy()
        made.ordered()
        handle = self.new_handle()
        self.executables[handle] = made
        return handle

    def update(self, executable: int, graph: int) -> bool:
        """Let an executable graph do what another does, if that has the same kinds of nodes and edges; return whether it has."""
        old, new = self.executable(executable), self.graph(graph)
        names = dict(zip(new.nodes, old.nodes, strict=False))
        same = len(old.nodes) == len(new.nodes) and all(
            a.kind == b.kind and set(a.needs) == {names[h] for h in b.needs}
            for a, b in zip(old.nodes.values(), new.nodes.values(), strict=True)
        )
        if same:
            for node in new.nodes.values():
                own = names[node.handle]
                old.nodes[own] = replace(old.nodes[own], action=node.action, place=node.place)
        return same
