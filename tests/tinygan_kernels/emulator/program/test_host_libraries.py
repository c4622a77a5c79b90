"""The C++ library, Thrust and CUDA graphs in the host code of programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")

from tinygan_kernels.emulator.program.cuda_errors import INVALIDATED, UNJOINED, UNSUPPORTED, CudaError
from tinygan_kernels.emulator.program.graphs import Graph, Graphs, Node
from tinygan_kernels.emulator.program.late_objects import refused_lines, with_late_objects
from tinygan_kernels.emulator.program.process import HostFault
from tinygan_kernels.emulator.program.program import Program

PROGRAMS = Path(__file__).parent


@pytest.mark.parametrize("name", ["containers", "edges", "vocabulary"])
def test_the_library_is_that_of_a_compiler_of_the_host(name, capsys):
    """Orders of unordered containers and of equal elements after std::sort too: a program's output is compared with g++'s."""
    assert Program(PROGRAMS / f"{name}.cu").run() == 0
    assert capsys.readouterr().out == (PROGRAMS / f"{name}.txt").read_text()


def test_strings_streams_and_files_are_those_of_a_compiler_of_the_host(tmp_path, capsys):
    """Where g++'s program ends by an exception, this one ends and says why."""
    program = Program(PROGRAMS / "streams.cu")
    assert program.run([str(tmp_path / "file")]) == 0
    assert capsys.readouterr().out == (PROGRAMS / "streams.txt").read_text(encoding="utf-8")
    assert program.run([str(tmp_path / "file"), "12"]) == 134
    assert "basic_string::substr: __pos (which is 12) > this->size() (which is 11)" in capsys.readouterr().err


def test_thrust_runs_over_the_memory_of_the_device_which_other_host_code_must_not_touch(capsys):
    program = Program(PROGRAMS / "thrust.cu")
    assert program.run() == 0
    values = [100, 4, 6, 8, 10, 14, 16, 18]
    drawn = 17 * 48271**4 % (2**31 - 1)  # C++'s minstd_rand
    assert capsys.readouterr().out == f"{' '.join(map(str, values))} {sum(values)} {39 - 8}\n{drawn}: 100, 4, 6, 53\n"
    line = program.source.splitlines().index(next(t for t in program.source.splitlines() if "argc > 1" in t)) + 1
    with pytest.raises(HostFault, match=rf"host code reads 4 bytes of device memory: .*; thrust.cu:{line}$"):
        program.run(["x"])


def test_graphs_are_captured_built_changed_and_launched(capsys):
    """Objects of file scope are made before main. y = 1, three times += 2 x, halved; a function of the host counts the launches.

    A node's arguments are those of when it was made.
    """
    assert Program(PROGRAMS / "graph.cu").run() == 0
    first = (1 + 3 * 2 * 10) / 2
    assert capsys.readouterr().out.splitlines() == [
        "before launch 1 0", "nodes 8", f"y[10] = {first:g} calls 1", f"y[10] = {(first + 60) / 2:g} calls 2",
        f"y[7] = {3 * 7}", "3 2", f"y[7] = {100 * 7}",
    ]  # fmt: skip


def graphs() -> Graphs:
    handles = iter(range(16, 10**6, 16))
    return Graphs(lambda: next(handles), lambda: 0)


def work(log: list[str], name: str):
    return lambda stream: log.append(name)


def test_a_capture_follows_events_into_other_streams_and_refuses_what_waits():
    made, log = graphs(), []
    made.begin(8, relaxed=False)
    assert made.taken(8, 0, work(log, "a"))
    assert made.recorded(event=5, stream=8)
    made.waits(9, 5)
    assert made.taken(9, 0, work(log, "b")) and made.taken(8, 0, work(log, "c"))
    with pytest.raises(CudaError, match="stream 0x9 was not joined") as caught:
        made.end(8)
    assert caught.value.code == UNJOINED and log == []
    made.begin(8, relaxed=False)
    made.taken(8, 0, work(log, "a"))
    made.recorded(5, 8)
    made.waits(9, 5)
    made.taken(9, 0, work(log, "b"))
    made.taken(8, 0, work(log, "c"))
    made.recorded(6, 9)
    made.waits(8, 6)
    made.taken(8, 0, work(log, "d"))
    graph = made.graph(made.end(8))
    names = dict(zip(graph.nodes, "abcd", strict=True))
    assert {(names[x], names[y]) for x, y in graph.edges()} == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    made.begin(8, relaxed=True)
    made.refuse("cudaMalloc", strict=True)
    with pytest.raises(CudaError, match="cudaDeviceSynchronize cannot be called while a stream is being captured") as caught:
        made.refuse("cudaDeviceSynchronize")
    assert caught.value.code == UNSUPPORTED
    with pytest.raises(CudaError) as caught:
        made.end(8)
    assert caught.value.code == INVALIDATED
    with pytest.raises(CudaError, match="the default stream cannot be captured"):
        made.begin(0, relaxed=False)


def test_nodes_run_after_those_that_they_need_and_never_in_a_circle():
    log: list[str] = []
    graph = Graph({n: Node(n, 0, work(log, str(n)), needs) for n, needs in ((1, [3]), (2, [1]), (3, []))})
    assert [node.handle for node in graph.ordered()] == [3, 1, 2]
    graph.nodes[3].needs.append(2)
    with pytest.raises(CudaError, match="in a circle"):
        graph.ordered()


def test_an_executable_graph_takes_the_work_of_another_of_the_same_shape_alone():
    made, log = graphs(), []
    old, new, other = (made.added(Graph()) for _ in range(3))
    for graph, names in ((old, "ab"), (new, "cd")):
        first = made.add(graph, 0, work(log, names[0]), [])
        made.add(graph, 2, work(log, names[1]), [first])
    made.add(other, 0, work(log, "e"), [])
    executable = made.instantiate(old)
    assert not made.update(executable, other) and made.update(executable, new)
    for node in made.executable(executable).ordered():
        node.action(0)
    assert log == ["c", "d"]


@pytest.mark.parametrize(
    ("declared", "becomes"),
    [
        ("std::map<int, A<B, C>> m = {{1, 2}};", "new ((void*)host_room_m) std::map<int, A<B, C>>{{1, 2}};"),
        ("static const std::string s(3, 'x');", "static const std::string& s = reinterpret_cast<std::string&>(host_room_s);"),
        ("Thing t;", "new ((void*)host_room_t) Thing();"),
        ('std::string open = "(";', 'new ((void*)host_room_open) std::string("(");'),
    ],
)
def test_an_object_of_file_scope_becomes_room_and_a_reference(declared, becomes):
    source = f"int a;\n{declared}\nint b;\n"
    made = with_late_objects(source, {2}, set())
    assert becomes in made and 'extern "C" void host_before_main()' in made
    assert made.splitlines()[2] == "int b;", "lines stay where they are"


@pytest.mark.parametrize("declared", ["std::string a, b;", "std::vector<int> v[3];", "auto x = f();", "namespace { T t; }"])
def test_a_declaration_that_is_not_understood_stays(declared):
    assert with_late_objects(declared + "\n", {1}, set()) == declared + "\n"


def test_where_the_compiler_refuses_an_object_is_read_from_its_log():
    log = (
        "p.cu(4): error: dynamic initialization is not supported for a __device__ variable\n  T t;\n"
        "p.cu(9): error: dynamic initialization is not supported for a function-scope static __device__ variable within a\n"
        'q.cu(2): error: dynamic initialization is not supported for a __device__ variable\np.cu(3): error: identifier "x"\n'
    )
    assert refused_lines(log, "p.cu") == ({4}, {9})
    assert re.search(r"static bool host_made_g; if \(!host_made_g\)", with_late_objects("{ static T g(7); }\n", set(), {1}))
