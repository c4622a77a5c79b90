"""The functions of the CUDA runtime for graphs. Nodes are added by the functions that would do their work at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .cuda_errors import UPDATE_FAILED, CudaError
from .cuda_runtime import CudaRuntime
from .graphs import CHILD, EMPTY, Graph


class GraphFunctions:
    """The functions, over a runtime, whose next piece of work they put into a graph."""

    def __init__(self, runtime: CudaRuntime):
        self.runtime, self.process, self.graphs = runtime, runtime.process, runtime.graphs

    def functions(self) -> dict[str, int]:
        """Return {name: address} of them all."""
        table: dict[str, tuple[Callable[..., Any], str]] = {
            "cudaStreamBeginCapture": (lambda stream, mode: self.graphs.begin(stream, mode == 2), "pi"),
            "cudaStreamEndCapture": (self.end_capture, "pp"),
            "cudaNotCaptured": (self.not_captured, "p"),
            "cudaStreamIsCapturing": (self.is_capturing, "pp"),
            "cudaGraphCreate": (lambda pointer: self._give(pointer, self.graphs.added(Graph())), "p"),
            "cudaGraphDestroy": (self.destroy, "p"),
            "cudaGraphClone": (lambda to, graph: self._give(to, self.graphs.added(self.graphs.graph(graph).copy())), "pp"),
            "cudaGraphInstantiate": (lambda to, graph: self._give(to, self.graphs.instantiate(graph)), "pp"),
            "cudaGraphExecDestroy": (self.destroy_executable, "p"),
            "cudaGraphExecUpdate": (self.update, "ppp"),
            "cudaGraphLaunch": (self.launch, "pp"),
            "cudaGraphGetNodes": (self.nodes, "ppp"),
            "cudaGraphGetRootNodes": (self.roots, "ppp"),
            "cudaGraphGetEdges": (self.edges, "pppp"),
            "cudaGraphNodeGetType": (lambda node, to: self.process.store(to, "u4", self.graphs.kind(node)), "pp"),
            "cudaGraphAddDependencies": (self.depend, "pppp"),
            "cudaGraphPlace": (self.place, "pppp"),
            "cudaGraphReplace": (self.replace, "pp"),
            "cudaGraphEmpty": (lambda: self._work(EMPTY, lambda stream: None), ""),
            "cudaGraphChild": (self.child, "p"),
        }
        made = {f"host_{n}": self.process.callback(self.runtime.returning(f, n), args, "i") for n, (f, args) in table.items()}
        return made | {"host_cudaGraphPlaced": self.process.callback(self.placed, "", "v")}

    def _give(self, pointer: int, handle: int) -> None:
        self.process.store(pointer, "u8", handle)

    def _handles(self, pointer: int, count: int) -> list[int]:
        return [int(h) for h in self.process.bytes(pointer, 8 * count).view("u8")] if count else []

    # -- capture ------------------------------------------------------------------------------------------------------------
    def end_capture(self, stream: int, pointer: int) -> None:
        self._give(pointer, 0)
        self._give(pointer, self.graphs.end(stream))

    def is_capturing(self, stream: int, pointer: int) -> None:
        capture = self.graphs.of_stream(stream)
        self.process.store(pointer, "u4", 0 if capture is None else 2 if capture.invalid else 1)

    def not_captured(self, stream: int) -> None:
        """Raise CudaError where a stream is being captured. stream: the one, or the largest number for any."""
        self.graphs.refuse("this function of the emulator's", () if stream == (1 << 64) - 1 else (stream,))

    # -- nodes ----------------------------------------------------------------------------------------------------------------
    def place(self, pointer: int, graph: int, needs: int, count: int) -> None:
        """Let the next piece of work become a node of a graph, after `count` others; its handle goes to where `pointer` says."""
        handles = self._handles(needs, count)
        self.graphs.graph(graph)

        def take(kind: int, action: Callable[[int], None]) -> None:
            self._give(pointer, self.graphs.add(graph, kind, action, handles))

        self.runtime.instead = take

    def replace(self, executable: int, node: int) -> None:
        """Let the next piece of work take the place of what a node does, in a graph (0) or one that was instantiated."""
        owner = self.graphs.executable(executable) if executable else None
        self.runtime.instead = lambda kind, action: self.graphs.change(owner, node, kind, action)

    def placed(self) -> None:
        """End what `place` and `replace` begin."""
        self.runtime.instead = None

    def _work(self, kind: int, action: Callable[[int], None]) -> None:
        if self.runtime.instead is not None:
            self.runtime.instead(kind, action)

    def child(self, graph: int) -> None:
        nodes = self.graphs.graph(graph).copy()
        self._work(CHILD, lambda stream: self._carry_out(nodes, stream))

    def depend(self, graph: int, before: int, after: int, count: int) -> None:
        self.graphs.depend(graph, self._handles(before, count), self._handles(after, count))

    def _list(self, handles: list[int], pointer: int, count: int) -> None:
        """Give as many handles as there is room for, or, without room, their number."""
        if pointer:
            room = int(self.process.load(count, "u8"))
            raw = np.array((handles + [0] * room)[:room], np.uint64).view(np.uint8)
            self.process.bytes(pointer, raw.size, writes=True)[...] = raw
            self.process.store(count, "u8", min(room, len(handles)))
        else:
            self.process.store(count, "u8", len(handles))

    def nodes(self, graph: int, pointer: int, count: int) -> None:
        self._list(list(self.graphs.graph(graph).nodes), pointer, count)

    def roots(self, graph: int, pointer: int, count: int) -> None:
        self._list([h for h, node in self.graphs.graph(graph).nodes.items() if not node.needs], pointer, count)

    def edges(self, graph: int, before: int, after: int, count: int) -> None:
        edges = self.graphs.graph(graph).edges()
        room = int(self.process.load(count, "u8"))
        self._list([first for first, _ in edges], before, count)
        if after:
            self.process.store(count, "u8", room)
            self._list([then for _, then in edges], after, count)

    # -- graphs that were instantiated ----------------------------------------------------------------------------------------
    def launch(self, executable: int, stream: int) -> None:
        graph = self.graphs.executable(executable)
        self.runtime.in_stream(stream, CHILD, lambda s: self._carry_out(graph, s))

    def _carry_out(self, graph: Graph, stream: int) -> None:
        """Do the work of all nodes. Findings and messages name the place where each node was made."""
        before = int(self.process.site[0])
        for node in graph.ordered():
            self.process.site[0] = node.place
            node.action(stream)
        self.process.site[0] = before

    def update(self, executable: int, graph: int, result: int) -> None:
        same = self.graphs.update(executable, graph)
        if result:
            self.process.store(result, "u4", 0 if same else 3)  # cudaGraphExecUpdateErrorTopologyChanged
        if not same:
            raise CudaError(UPDATE_FAILED, "the graphs differ by more than the parameters of their nodes")

    def destroy(self, graph: int) -> None:
        self.graphs.graph(graph)
        del self.graphs.graphs[graph]

    def destroy_executable(self, executable: int) -> None:
        self.graphs.executable(executable)
        del self.graphs.executables[executable]
