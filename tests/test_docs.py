"""The pages in docs/: their numbers are those of today's code, what they refer to exists, and their mathematics renders."""

import importlib
import re
import sys

import numpy as np
import pytest
from tinygan_kernels.cpu.matmul.blocking import choose_blocking
from tinygan_kernels.cpu.matmul.choice import RUNGS
from tinygan_kernels.cpu.matmul.microkernel import compute_tile
from tinygan_kernels.cpu.runtime.simd import lanes

from benchmarks.docs import api, emulator_page, product_numbers
from benchmarks.docs.autodiff_page import worked
from benchmarks.docs.excerpts import excerpt, nested
from benchmarks.docs.figures import DRAWINGS, FIGURES
from benchmarks.docs.game_page import number
from benchmarks.docs.numbers import BLOCKS, DOCS, SLOW, render
from benchmarks.docs.product_figures import CUT
from tinygan.cli.main import app
from tinygan.engine.tensor import gradients
from tinygan.theory.all import claims
from tinygan.theory.claim import Measured

PAGES = sorted(BLOCKS)
# what a training step launches changes with every economy that is found; the script counts it, no test insists on it
COUNTED = {"step"}


def _text(page):
    return (DOCS / page).read_text()


def needs_a_compiler():
    """Skip a test that compiles CUDA C++ where nothing here can."""
    pytest.importorskip("numba_cuda", reason="needs NVIDIA's compiler, which Numba CUDA brings: pip install -e '.[emulator]'")


@pytest.mark.parametrize("page", PAGES)
def test_numbers_and_excerpts_are_those_of_the_code(page):
    """Run `python -m benchmarks.docs.numbers` where this fails after a change of code."""
    if page == "kernels.md":
        needs_a_compiler()
    assert render(_text(page), page, SLOW | COUNTED | emulator_page.COMPILED) == _text(page)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_empty(page):
    for name in BLOCKS[page]:
        content = re.search(rf"<!-- begin {name} -->\n(.*?)<!-- end {name} -->", _text(page), re.DOTALL)[1]
        assert content.count("\n") >= 1 and "FAILED" not in content, name


def test_the_ptx_of_the_emulators_page_is_the_compilers():
    """Where this fails with the version of NVRTC that the page names, run `python -m benchmarks.docs.numbers`."""
    needs_a_compiler()
    quoted, made = emulator_page.quoted_ptx(), emulator_page.compiled_ptx()
    assert quoted.startswith("// NVRTC, release")
    if quoted.split("\n")[0] == made.split("\n")[0]:
        assert quoted == made
    for text in (quoted, made):  # another version may choose other instructions, but not another result
        y = emulator_page.launched(emulator_page.kernel(text))
        assert y.tolist() == [float(t) if t < 100 else 0.0 for i in range(100) for t in [i // 64 * 64 + 63 - i % 64]]


def test_a_changed_number_would_be_seen():
    text = _text("autodiff.md")
    assert "-0.943694" in text
    wrong = text.replace("-0.943694", "-0.943695")
    assert render(wrong, "autodiff.md", SLOW) == text != wrong


def test_a_missing_block_is_an_error():
    with pytest.raises(ValueError, match="differ in the blocks"):
        render(_text("autodiff.md").replace("<!-- begin graph -->", ""), "autodiff.md", SLOW)


def test_the_worked_graph_is_the_one_worked_by_hand():
    """The page shows both; here they are compared, and with the numeric derivative of the formula in plain NumPy."""
    nodes, L, tensors = worked()
    found = {name: float(g) for (name, _, _), g in zip(nodes, gradients(L, tensors), strict=True)}

    def loss(w, b, v):
        return np.log1p(np.exp(-v * np.tanh(2 * w + b)))

    at, h = np.array([0.5, -0.5, 3.0]), 1e-5
    for i, name in enumerate(("w", "b", "v")):
        step = h * np.eye(3)[i]
        assert found[name] == pytest.approx((loss(*(at + step)) - loss(*(at - step))) / (2 * h), rel=1e-7)
    by_hand = dict(re.findall(r"\| dL/d(\w) = [^|]*\| ([-+.\d]+) \|", _text("autodiff.md")))
    assert set(by_hand) == {"s", "v", "c", "w", "b"}
    for name, value in by_hand.items():
        assert float(value) == pytest.approx(found[name], abs=5e-7)


def test_three_ways_to_one_second_derivative():
    values = re.findall(r"\| (?:by hand|engine, through its own VJPs|central differences) \| ([-.\d]+) \|", _text("autodiff.md"))
    assert len(values) == 3
    assert np.ptp([float(v) for v in values]) <= 1.5e-8


def anchors(text):
    """Return the anchors that GitHub makes of a page's headings."""
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def broken(text, page, folder=DOCS):
    """Return the links of a page that lead to no file, or to no heading of one. What is code, and what leads away, is left out."""
    found = []
    prose = re.sub(r"`[^`\n]*`", "code", re.sub(r"```.*?```|^    .*?$", "", text, flags=re.DOTALL | re.MULTILINE))
    for target in re.findall(r"\]\(((?!https://)[^)]+)\)", prose):
        path, _, anchor = target.partition("#")
        file = folder / (path or page)
        if not file.exists() or (anchor and anchor not in anchors(text if not path else file.read_text())):
            found.append(target)
    return found


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page):
    assert broken(_text(page), page) == []


def test_a_link_that_leads_nowhere_would_be_seen():
    assert broken("# A heading\n[a](#a-heading) [b](game.md#8-what-converges) [c](no.md) [d](#no) [e](game.md#no)", "game.md") == [
        "no.md", "#no", "game.md#no"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_pages_above_lead_somewhere(page):
    assert broken((DOCS.parent / page).read_text(), page, DOCS.parent) == []


def misnamed(text):
    """Return the links whose text is the name of a file and which lead to another file."""
    links = re.findall(r"\[`([^`\n]+\.(?:py|cu|md))`\]\(([^)#]+)", text)
    return [(name, target) for name, target in links if not target.endswith(name)]


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_a_links_text_is_its_file(page):
    assert misnamed(_text(page)) == []


def test_a_misnamed_link_would_be_seen():
    assert misnamed("[`old.py`](../a/new.py) [`b.py`](../a/b.py) [`Backend.launch`](x.md)") == [
        ("old.py", "../a/new.py")]


def unknown_files(text):
    """Return the code files that a page names in backticks and that exist neither from the root nor from the kernels' package."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    roots = (DOCS.parent, DOCS.parent / "kernels" / "tinygan_kernels")
    named = re.findall(r"`([\w/]+/\w+\.(?:py|cu|md))`", prose)
    return [path for path in named if not any((root / path).exists() for root in roots)]


def test_the_recipes_name_files_that_exist():
    assert unknown_files((DOCS.parent / "CONTRIBUTING.md").read_text()) == []


def test_a_file_that_is_gone_would_be_seen():
    page = "`tinygan/optim.py`, `cpu/backend.py`, `cpu/gone.py` ```\n`a/b.py`\n``` `cuda/cpp/<kernel>.cu`"
    assert unknown_files(page) == ["cpu/gone.py"]


def uncounted(text):
    """Return the headings of recipes whose first paragraph does not say how many places there are."""
    recipes = re.findall(r"^##+ ([^\n]+)\n\n(.+?)\n\n", text, re.MULTILINE | re.DOTALL)
    return [heading for heading, opening in recipes if not re.search(r" takes (?:no|\d) places?\b", opening)]


def test_every_recipe_begins_with_the_number_of_its_places():
    assert uncounted((DOCS.parent / "CONTRIBUTING.md").read_text()) == []


def test_a_recipe_without_a_number_would_be_seen():
    assert uncounted("# All\n\nText.\n\n## A\n\nIt takes 2 places.\n\n1. x\n\n### B\n\nHow to.\n\nIt takes 2 places.\n\n") == ["B"]


TERM = re.compile(r"- \*\*(.+?)\*\*: .+\. \[`([^`]+)`\]\((\.\./[^)]+)\)")


def test_the_glossary_has_a_line_for_each_term_with_its_file():
    lines = [line for line in _text("glossary.md").splitlines() if line.startswith("- ")]
    terms = [TERM.fullmatch(line) for line in lines]
    assert None not in terms, lines[terms.index(None)]
    names = [term[1] for term in terms]
    assert len(names) == len(set(names)) >= 90
    assert all(term[3].replace("/__init__.py", "/").endswith(term[2]) for term in terms), "a link's text is the name of its file"
    known = " ".join(names).lower()
    for word in ("vjp", "cotangent", "leaf", "logit", "r1", "ema", "packing", "unrolling", "mode", "hq share", "microkernel",
                 "tile", "panel", "pack", "blocking", "epilogue", "im2col", "winograd", "roofline", "coalesced", "bank conflict",
                 "warp", "lane", "ptx", "racecheck", "rung", "bound"):
        assert word in known, word


def test_every_figure_is_made_and_shown():
    shown = {name for page in PAGES for name in re.findall(r"\(figures/([^)]+)\)", _text(page))}
    assert shown == {*FIGURES, *DRAWINGS} == {p.name for p in (DOCS / "figures").iterdir()}
    for name in FIGURES:
        assert (DOCS / "figures" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_drawings_are_those_of_the_code(name):
    """Run `python -m benchmarks.docs.numbers` where this fails. Tooltips, which name lines of source, may be older."""
    pytest.importorskip("igraph", reason="igraph, of the extras [draw] and [test], is not installed")
    there, made = (re.sub(r"<title>.*?</title>", "", text, flags=re.DOTALL)
                   for text in ((DOCS / "figures" / name).read_text(), DRAWINGS[name]()))
    assert there == made and len(there) < 60_000


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    known = {c.name or c.callback.__name__ for c in app.registered_commands} | {group.name for group in app.registered_groups}
    assert set(re.findall(r"`tinygan (\w+)", _text(page))) <= known


@pytest.mark.parametrize("page", PAGES)
def test_mathematics_renders_on_github(page):
    """Outside of ```math blocks GitHub strips a backslash before punctuation, and a lone dollar opens a formula that never ends."""
    for i, part in enumerate(re.split(r"(```.*?```)", _text(page), flags=re.DOTALL)):
        if i % 2:
            continue
        prose = re.sub(r"`[^`]*`", "", part)
        assert prose.count("$") % 2 == 0, prose[:200]
        for formula in re.findall(r"\$([^$]+)\$", prose):
            assert not re.search(r"\\[,;!{}\\]", formula), formula
            assert formula == formula.strip() and formula.count("{") == formula.count("}"), formula


def test_every_claim_has_its_row():
    text = _text("game.md")
    for claim in claims():
        assert f"| `{claim.name}` | {claim.statement.replace('|', chr(92) + '|')} |" in text


def test_errors_are_quoted_by_their_bound():
    """A rounding error's digits are a machine's own; a value's first four are not."""
    assert number(Measured("", 1.2e-17, 0, 1e-15)) == "0 within 1e-15"
    assert number(Measured("", 0.69314718, 0.69314718, 1e-15)) == "0.6931"
    assert number(Measured("", 0.0, 0, 0.0)) == "0"


# ---- the reference of the public names ------------------------------------------------------------------------------------------

ENTRIES = [api.entry(name, module) for package in api.PACKAGES for name, module in api.public_names(package).items()]


def test_the_reference_is_up_to_date():
    """Run `python -m benchmarks.docs.api` where this fails after a docstring or a signature changed."""
    assert api.stale(api.pages()) == []


def test_pages_that_are_missing_out_of_date_or_left_over_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "INDEX", tmp_path / "api.md")
    monkeypatch.setattr(api, "FOLDER", tmp_path / "api")
    wanted = {tmp_path / "api.md": "index", tmp_path / "api" / "one.md": "one", tmp_path / "api" / "two.md": "two"}
    (tmp_path / "api").mkdir()
    for name, text in (("api.md", "index"), ("api/one.md", "another"), ("api/three.md", "three")):
        (tmp_path / name).write_text(text)
    assert api.stale(wanted) == [tmp_path / "api" / f"{name}.md" for name in ("one", "three", "two")]


@pytest.mark.parametrize("page", sorted(api.FOLDER.glob("*.md")), ids=lambda page: page.name)
def test_links_of_the_reference_lead_somewhere(page):
    assert broken(page.read_text(), page.name, page.parent) == []


def test_every_entry_is_reached_from_the_index():
    pages = api.pages()
    for entry in ENTRIES:
        links = re.findall(rf"\[`{entry.name}`\]\(([\w./]+)#{entry.name.lower()}\)", pages[api.INDEX])
        assert links and any(f"\n## {entry.name}\n" in pages[DOCS / link] for link in links), entry.name


def test_the_reference_holds_what_users_import():
    names = {entry.name for entry in ENTRIES}
    assert {"Tensor", "gradients", "matmul", "Linear", "Adam", "V", "Game", "load", "KERNELS", "RawModule", "count"} <= names
    assert len(names) > 150


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.module}.{entry.name}")
def test_every_public_name_has_a_docstring(entry):
    assert entry.doc, f"{entry.name} in {entry.module} has no docstring, and, if it is a constant, no comment"


def test_every_package_names_its_public_part():
    for package in api.PACKAGES:
        module = importlib.import_module(package)
        assert hasattr(module, "__all__") or not hasattr(module, "__path__"), f"{package} has no __all__"


def _entry(source, name, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "planted", raising=False)
    return api.entry(name, "planted")


@pytest.mark.parametrize(("source", "doc"), [
    ("def f(x):\n    return x", None),
    ('def f(x):\n    """Return x."""\n    return x', "Return x."),
    ("class f:\n    x = 1", None),
    ("f = 1", None),
    ("g = 2  # of g\nf = 1", None),
    ("f = 1  # one", "one"),
    ("# the first\n# number\nf = 1", "the first\nnumber"),
    ('f = 1\n"""One."""', "One."),
])
def test_a_missing_docstring_would_be_seen(source, doc, tmp_path, monkeypatch):
    assert _entry(source, "f", tmp_path, monkeypatch).doc == doc


def test_a_stub_shows_what_is_public(tmp_path, monkeypatch):
    source = """class C(list):
    \"\"\"A list.\"\"\"
    size: int = 3
    _hidden: int = 4

    def __init__(self, n: int = 2) -> None:
        \"\"\"n: a number.\"\"\"
        self.n = n

    @property
    def double(self) -> int:
        return 2 * self.n

    def _private(self):
        pass
"""
    assert api.stub(_entry(source, "C", tmp_path, monkeypatch)).splitlines() == [
        "class C(list):", '    """A list."""', "    size: int = 3", "", "    def __init__(self, n: int=2) -> None:",
        '        """n: a number."""', "", "    @property", "    def double(self) -> int: ...",
    ]
    with pytest.raises(LookupError, match="planted defines no D"):
        api.entry("D", "planted")


# ---- excerpts and the product of docs/kernels.md --------------------------------------------------------------------------------


def test_an_excerpt_is_a_function_as_it_stands():
    assert excerpt(number).startswith("[`benchmarks/docs/game_page.py`](../benchmarks/docs/game_page.py)\n```python\ndef number(m")
    assert '"""' in excerpt(number) and '"""' not in excerpt(number, without_docstring=True)
    assert "\ndef term(values):\n" in nested(compute_tile, "multiplied", "term")
    with pytest.raises(LookupError, match="microkernel defines no nothing"):
        nested(compute_tile, "nothing")


@pytest.mark.skipif(not product_numbers.AVX_512, reason="the pictures show the registers of AVX-512")
def test_the_pictures_show_the_blocking_that_is_chosen():
    chosen = choose_blocking(CUT.m, CUT.n, CUT.k, 4, CUT.jobs, 4 * CUT.n)
    assert (chosen.height, chosen.across, chosen.width, lanes(4)) == (CUT.height, CUT.across, CUT.width, CUT.lanes)
    assert chosen.regions(CUT.m, CUT.n) == [(0, 48, 0, 144), (48, 96, 0, 144)] and CUT.n == 3 * CUT.width


def test_every_rung_of_the_products_ladder_is_shown():
    if product_numbers.AVX_512:
        assert {product_numbers.rung_of(*shape) for shape in product_numbers.SHAPES} == {rung.number for rung in RUNGS}
