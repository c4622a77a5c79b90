"""Exceptions in the host code of programs: what their source becomes, and what they do."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")

from tinygan_kernels.emulator.program import unwinding
from tinygan_kernels.emulator.program.casts import DynamicCasts
from tinygan_kernels.emulator.program.classes import Base, Described, described
from tinygan_kernels.emulator.program.exceptions import binds_structures, catches, with_exceptions, without_clauses
from tinygan_kernels.emulator.program.machine_code import loaded, machine_code
from tinygan_kernels.emulator.program.noexcept import with_noexcept
from tinygan_kernels.emulator.program.process import HostFault, Process
from tinygan_kernels.emulator.program.program import Program
from tinygan_kernels.emulator.program.symbols import Symbols
from tinygan_kernels.emulator.program.unwinding import Unwinding, without_debug_information
from tinygan_kernels.emulator.program.waiting import spin_budget
from tinygan_kernels.emulator.syntax.parser import parse

PROGRAMS = Path(__file__).parent
NEVER = with_noexcept("~G() {").removeprefix("~G() {")


def test_exceptions_do_what_they_do_with_a_compiler_of_the_host(capfd):
    """The last one is taken by no clause: the program ends by it, and destroys nothing."""
    program, text = Program(PROGRAMS / "exceptions.cu"), (PROGRAMS / "exceptions.txt").read_text()
    assert program.run(["end"]) == 134
    got = capfd.readouterr()
    assert got.out == text + "+1 "
    assert got.err == "terminate called after throwing an instance of 'Error'\n  what():  Error: nobody takes it\nAborted\n"
    assert program.run(["end", "in a function that is noexcept"]) == 134
    got = capfd.readouterr()
    assert got.out == text, "and no clause of its callers takes it"
    assert got.err == "terminate called after throwing an instance of 'std::domain_error'\n  what():  below zero\nAborted\n"


SATISFIED, RETRIEVED, STATE, BROKEN = (
    f"std::future_error: {text} {int(text == 'No associated state')}"
    for text in ("Promise already satisfied", "Future already retrieved", "No associated state", "Broken promise")
)
FUTURES = [SATISFIED, SATISFIED, RETRIEVED, "4", STATE, STATE, BROKEN, SATISFIED, BROKEN, STATE, "18 0"]
"""What broken_rules() of raii.cu prints when g++ compiles it."""


def test_casts_to_the_class_that_an_object_is_of_are_those_of_a_compiler_of_the_host(capfd):
    assert Program(PROGRAMS / "casts.cu").run() == 0
    assert capfd.readouterr().out == (PROGRAMS / "casts.txt").read_text()


def test_what_the_source_says_of_classes_and_what_it_does_not():
    text = "enum class E : int { a };\nstruct A { virtual ~A(); }; class B : A, public x::C, public virtual std::exception { };\n"
    made = described(text + "template <class T> struct G { }; struct H : G<int> { }; struct K { }; namespace n { struct K { }; }")
    assert made == {
        "A": Described((), True), "G": None, "H": None, "K": None,
        "B": Described((Base("A", False, False), Base("C", True, False), Base("std::exception", True, True)), False),
    }  # fmt: skip
    casts = DynamicCasts(Process(), parse(".version 8.0\n.target sm_80\n.address_size 64\n"), {}, "")
    casts.classes.update(made, V=Described((Base("A", True, True),), True))
    for name, why in (("V", "which has a virtual base"), ("H", "does not say plainly what its bases are")):
        with pytest.raises(HostFault, match=f"dynamic_cast with the class .*{why}: give the base class a virtual function"):
            casts.classes["D"] = Described((Base(name, True, False),), True)
            casts._all_parts("D", [])
    casts.classes |= {"C": Described((), True), "D": Described((Base("A", True, False), Base("C", True, False)), True)}
    assert [(part.name, part.at) for part in casts._all_parts("D", [24])] == [("D", 0), ("A", 0), ("C", 24)]
    for distances in ([], [8, 24]):  # of fewer and of more tables than the source speaks of
        with pytest.raises(HostFault, match="the class D, of which the source does not say plainly"):
            casts._all_parts("D", distances)


def test_errors_of_the_runtime_as_exceptions_and_threads_with_results(capfd):
    """The runtime's complaints name the line of the program, not one of a header; a thread that only waits ends the program."""
    program = Program(PROGRAMS / "raii.cu")
    with spin_budget(100_000):
        assert program.run(["wait"]) == 134
    got = capfd.readouterr()
    assert got.out.splitlines() == [
        "alloc 100", "3", "free 100", "cudaGetLastError(): invalid configuration argument 9", "alloc 10", "free 10",
        "cudaMalloc(&p_, n * sizeof(T)): out of memory", "alloc 1", "free 1", "upload", "1 4 [three] 16 6 kept", "first now 7",
        *FUTURES, "36", "1",
    ]  # fmt: skip
    lines = program.source.splitlines()
    launch, allocation = (next(n for n, line in enumerate(lines, 1) if t in line) for t in ("2000>>>", "Errors(cudaMalloc"))
    assert f"raii.cu:{launch}: a launch: invalid configuration" in got.err
    assert f"raii.cu:{allocation}: cudaMalloc: out of memory" in got.err
    assert "a thread waits for another one: it has looked at atomic variables 100000 times, which nothing has changed" in got.err
    for wrong in (0, 2.5, True, 1 << 63):
        with pytest.raises(ValueError, match="give a whole number of reads"), spin_budget(wrong):
            pass


def thrown(value: str) -> str:
    return f"host_throw([&]() -> decltype(auto) {{ return {value}; }})"


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ('throw E("a; b");', thrown(' E("a; b")') + ";"),
        ("throw Pair<int, 2>{1, 2};", thrown(" Pair<int, 2>{1, 2}") + ";"),
        ('throw "text";', thrown(' "text"') + ";"),
        ("throw /* again */ ;", "host_throw_again() /* again */ ;"),
        ("if (a) throw 1; else throw b ? 2 : 3;", f"if (a) {thrown(' 1')}; else {thrown(' b ? 2 : 3')};"),
        ("x = a ? throw 1 : f(b, throw 2, c);", f"x = a ? {thrown(' 1 ')}: f(b, {thrown(' 2')}, c);"),
        ("return n > 0 ? n : throw std::range_error(s);", f"return n > 0 ? n : {thrown(' std::range_error(s)')};"),
        ("void f() throw(); // throw 1", "void f() " + " " * 7 + "; // throw 1"),
        ('puts("throw 1;");', 'puts("throw 1;");'),
    ],
)
def test_what_throw_becomes(source, becomes):
    assert with_exceptions(source, catching=False) == becomes


def test_a_try_keeps_its_jumps_and_a_function_object_has_its_variables_alone():
    source = (
        "for (;;) {\n try { auto k = [](int i) { return i; }; if (a) return f(k); // b\n static int c; break; }\n"
        " catch (const E& e) { g(e); }\n catch (...) { throw; } }\nlast"
    )
    made = with_exceptions(source, catching=True)
    seen, rest = made.split("int host_clause", 1)[0], made.split("&host_catches<", 1)[1]
    assert "return i;" in seen and seen.count("return") == 1 and "if (a) (void)(f(k));" in seen
    assert not any(word in seen for word in ("break", "static", "// b"))
    assert rest.startswith("const E&, host_any_exception>::which)")
    assert "return f(k);" in rest and "break;" in rest
    assert "const E& e = host_caught<const E&>();" in rest and "host_throw_again();" in rest
    assert made.count("\n") == source.count("\n") and made.splitlines()[-1] == "last", "lines stay where they are"


@pytest.mark.parametrize(
    ("clause", "kind", "named"),
    [
        ("int", "int", False), ("const char* text", "const char*", True), ("E const &e", "E const &", True),
        ("unsigned long", "unsigned long", False), ("const E&", "const E&", False), ("E<int> e", "E<int>", True),
        ("const E", "const E", False),
    ],
)  # fmt: skip
def test_a_clause_has_its_type_and_its_variable(clause, kind, named):
    made = with_exceptions(f"try {{ }} catch ({clause}) {{ }}", catching=True)
    assert f"host_catches<{kind}>::which" in made
    assert (f"{clause} = host_caught<{kind}>();" in made) is named


def test_directives_inside_of_a_try_and_a_try_inside_of_a_macro():
    made = with_exceptions("a\ntry {\n#pragma unroll\n f();\n} catch (...) { }\n", catching=True)
    assert made.count("\n#pragma unroll\n") == 2 and "#line 2\n" in made
    macro = "#define CHECK(x) try { x; \\\n } catch (int) { }\nint a;"
    made = with_exceptions(macro, catching=True)
    assert made.splitlines()[-1] == "int a;" and "host_try" in made
    assert with_exceptions("#define TRY try {\n#define END } catch (...) { }\n", catching=True).startswith("#define TRY try {\n")


def test_classes_name_their_bases_and_note_objects_that_no_constructor_makes():
    made = with_exceptions("class A : public B<int, 2>, C, virtual public D { int x; }; enum class K : int { a };", catching=True)
    assert "public: typedef A host_self; typedef host_list<B<int, 2>, D> host_bases; private:" in made
    assert made.endswith("enum class K : int { a };")
    assert "host_list<B>" in with_exceptions("struct A : B { };", catching=True)
    guard = with_exceptions("struct G { F f; ~G() { f(); } };", catching=True)
    assert f"~G() {{{NEVER} host_unmark<G>(this); f(); }}" in guard and "host_mark<G> host_marked = host_mark<G>(this); };" in guard
    aggregate = with_exceptions("struct alignas(8) G { int n; G(const G&) = delete; ~G(); }; G::~G() { f(); }", catching=True)
    assert f"G::~G() {{{NEVER} host_unmark<G>(this); f(); }}" in aggregate and "host_mark<G> host_marked" in aggregate
    for other in ("struct G { G(int); G(const G& g) { } ~G(); };", "struct G { ~G(); };", "struct G { virtual ~G(); };"):
        assert with_exceptions(other, catching=True) == other
    for copies in ("", "G(const G&) = default; ", "G(G&&) noexcept = default; "):
        made = with_exceptions(f"struct G {{ G(int); {copies}~G() {{ }} }};", catching=True)
        assert made.startswith("struct G : host_copied<struct host_tag_G> { G(int);"), "its copies are the compiler's own"
    made = with_exceptions("class G final : public a::B { G(int); ~G() { } };", catching=True)
    assert made.startswith("class G final : public a::B , host_copied<struct host_tag_G> {")


@pytest.mark.parametrize(
    ("source", "condition"),
    [
        ("void f() noexcept { g(); }", "true"), ("int f(int n) const& noexcept(true) override { g(); }", "(true)"),
        ("auto f = [&](int n) noexcept -> int { g(); };", "true"), ("void f() throw() { g(); }", "true"),
        ("void f() noexcept(noexcept(h()) && n > 1) final { g(); }", "(noexcept(h()) && n > 1)"),
        ("A(int n) noexcept : a::B<int>(n), c{n, {1}} { g(); }", "true"), ("~A() override { g(); }", "true"),
        ("A(T... t) noexcept : T(t)... { g(); }", "true"), ("__host__ __device__ void f() noexcept { g(); }", "true"),
        ("void f() noexcept(false) { g(); }", None), ("~A() noexcept(false) { g(); }", None), ("void f() noexcept;", None),
        ("constexpr int f() noexcept { g(); }", None), ("__device__ void f() noexcept { g(); }", None),
        ("A() noexcept = default;", None), ("void (*p)() noexcept = f; { g(); }", None), ("if (a(noexcept(b))) { g(); }", None),
        ('puts(") noexcept {");', None),
    ],
)  # fmt: skip
def test_a_function_that_lets_no_exception_pass_begins_with_a_mark(source, condition):
    made = with_noexcept(source)
    if condition is None:
        assert made == source
        return
    mark = f" host_no_exceptions<{condition}>::begin(); host_no_exceptions<{condition}> host_never; "
    assert made == source.replace("{ g(); }", "{" + mark + " g(); }")


def test_without_a_catch_nothing_but_throw_changes():
    assert not catches("// catch (int)", 'puts("catch (");') and catches("int a;", "} catch(...) {")
    assert with_exceptions("struct A : B { ~A() { } };", catching=False) == "struct A : B { ~A() { } };"
    library = without_clauses("try { f(); } catch (const E& e) { throw; } catch (...) { g(); }")
    assert library == (
        '#include "thrown.h"\n#line 1\nif (true) { f(); } for (const E& e = host_anything(); false;) { host_throw_again(); } '
        "if (false) { g(); }"
    )


def test_both_destructors_of_a_class_are_reached_where_one_is_called():
    """What takes an object off the list compares with both, so both have to be there."""
    ptx = (
        ".version 8.0\n.target sm_80\n.address_size 64\n.func _ZN1AD1Ev()\n{\nret;\n}\n.func _ZN1AD2Ev()\n{\nret;\n}\n"
        ".func f()\n{\ncall _ZN1AD1Ev, ();\nret;\n}\n"
    )
    module = parse(ptx)
    assert Unwinding(module, Symbols()).also_reached(module.functions["f"]) == ["_ZN1AD1Ev", "_ZN1AD2Ev"]


def test_structured_bindings_are_found():
    """A function object of C++17 cannot use one, so that a program that catches something needs C++20."""
    assert binds_structures("for (const auto& [k, v] : m)") and binds_structures("auto [a] = f();")
    assert not binds_structures("auto x = a[3]; // auto [a]")


def test_constructors_destructors_and_their_classes_are_known_by_their_names():
    functions = ["_ZN1AC1Ei", "_ZN1AC2Ei", "_ZN1AD1Ev", "_ZN1AD2Ev", "_ZN3C1EC1IiEET_", "_ZN3C1ED2Ev", "_ZZN1AC1EvENKUlvE_clEv"]
    functions += ["_ZN1BC1Ev", "_ZN1ACI11BEi"]
    ptx = ".version 8.0\n.target sm_80\n.address_size 64\n" + "".join(f".func {name}()\n{{\nret;\n}}\n" for name in functions)
    unwinding = Unwinding(parse(without_debug_information(ptx + "\t.section .debug_loc\n{\n}\n")), Symbols())
    found = {name: unwinding.destructor_of(name) for name in functions}
    assert found == {
        "_ZN1AC1Ei": "_ZN1AD1Ev", "_ZN1AC2Ei": "_ZN1AD2Ev", "_ZN1AD1Ev": None, "_ZN1AD2Ev": None, "_ZN3C1EC1IiEET_": "_ZN3C1ED2Ev",
        "_ZN3C1ED2Ev": None, "_ZZN1AC1EvENKUlvE_clEv": None, "_ZN1BC1Ev": None, "_ZN1ACI11BEi": "_ZN1AD1Ev",
    }  # fmt: skip


def test_more_objects_than_the_list_takes_end_the_program(monkeypatch):
    """Else those beyond its end would not be destroyed, in silence."""
    monkeypatch.setattr(unwinding, "MOST_OBJECTS", 2)
    process = Process()
    module = parse(".version 8.0\n.target sm_80\n.address_size 64\n")
    symbols = Symbols()
    helpers = Unwinding(module, symbols).helpers()
    call = "define void @add(i64 %object) {\n  call void @host_made(i64 %object, i64 1)\n  ret void\n}\n"
    known = process.cells(1) | {f"extern.{name}": address for name, address in process.callbacks().items()}
    engine = loaded(machine_code(symbols.declarations() + helpers + call), {name: known[name] for name in symbols.names})
    add = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(engine.get_function_address("add"))
    add(8)
    add(16)
    assert not process.ended[0]
    add(24)
    assert process.ended[0] == 1 and "too many objects" in str(process.error)
