"""The page of an explained kernel: counters beside lines, pictures mark for mark, text escaped; in Chromium, keys and time."""

import html
import html.parser
import json
import re

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from browser import Browser, browser_path
from tinygan_kernels import ContractError
from tinygan_kernels.own.accesses import Instruction, Parting
from tinygan_kernels.own.explain import KernelExplanation, LineCounts, explained
from tinygan_kernels.own.page import page_of
from tinygan_kernels.own.pictures import banks, branch, sectors
from tinygan_kernels.own.subjects import ladder_subject, own_subject
from tinygan_kernels.own.traced import traced

# Line 6 copies rows to a tile, 8 reads a column of it, 9 has a branch. Comments and text try to end the page's elements.
KERNEL = """// launch: k<<<1, 32>>>(x, b, y, rows, channels)
__global__ void k(const float* x, const float* b, float* y, int rows, int channels) {
    __shared__ float tile[32][32]; // </script><script>window.broken = 1</script> <b>bold</b> & "quoted" \u2028
    int t = threadIdx.x;
    for (int r = 0; r < 32; ++r)
        tile[r][t] = x[r * channels + t];
    __syncthreads();
    float first = tile[t][0];
    if (t < 20) y[t * channels] = first + b[0];  /* <!-- </script> --> <img src=x onerror="window.broken = 1"> */
}
"""


@pytest.fixture(scope="module")
def kernel_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "k.cu"
    path.write_text(KERNEL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def explanation(kernel_file):
    return explained(own_subject(kernel_file, "bias_act", shape=(32, 32), params={"act": "linear"}))


@pytest.fixture(scope="module")
def text(kernel_file, explanation):
    trace = traced(own_subject(kernel_file, "bias_act", shape=(32, 32), params={"act": "linear"}, debug=True))
    return page_of(explanation, 8, trace)


def test_counters_stand_beside_their_lines(explanation):
    counts = explanation.counts
    assert (counts[6].requests, counts[6].sectors, counts[6].sectors_a_request, counts[6].conflicts) == (32, 128, 4, 0)
    assert (counts[8].conflicts, counts[8].wavefronts, counts[8].active) == (19, 20, 20 / 32), "sunk into the branch on line 9"
    assert 20 / 32 <= counts[9].active < 1 and explanation.lines == [6, 8, 9]
    assert LineCounts(4, 64, 0, 0, 0, 0, 0).active == 0.5 and LineCounts(*[0] * 7).sectors_a_request is None
    assert explanation.sizes == "x 32x32, b 32, y 32x32"


class Elements(html.parser.HTMLParser):
    """Collects the elements of a page, and the text of its source rows."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(dict(attributes).get("class"))
        if self.open[-1] == "code" and tag == "span":
            self.rows.append("")

    def handle_endtag(self, tag):
        self.open = self.open[:-1]

    def handle_data(self, data):
        if self.open and self.open[-1] == "code" and self.rows:
            self.rows[-1] += data


def test_text_of_the_file_cannot_become_part_of_the_page(text):
    elements = Elements(text)
    tags = [tag for tag, _ in elements.tags]
    assert tags.count("script") == 2 and not {"img", "b"} & set(tags)
    assert text.count("</script>") == 2, "those of the page itself"
    assert [line for line in KERNEL.split("\n") if line] == [row for row in elements.rows if row.strip()][: KERNEL.count("\n")]
    assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    assert json.loads(data)["source"][2] == KERNEL.split("\n")[2] and "\u2028" not in data


def test_the_page_needs_nothing_from_elsewhere(text):
    for tag, attributes in Elements(text).tags:
        assert tag not in ("link", "iframe", "object", "embed")
        assert all(not attributes.get(name, "#").startswith(("http", "//", "data:")) for name in ("src", "href", "action"))
    assert not re.search(r"@import|url\(|https?://", text)


def test_a_line_without_anything_to_show_is_refused(explanation):
    with pytest.raises(ContractError, match="on line 4 and no warp parts there; lines that do: 6, 8, 9"):
        page_of(explanation, 4)
    assert "No trace was recorded." in page_of(explanation) and "why &lt;not&gt;" in page_of(explanation, no_trace="why <not>")


def test_versions_of_the_ladder_have_pages_too():
    found = explained(ladder_subject("bce_logits", 1, shape=(64,)))
    assert found.title.startswith("bce_logits, version 1 of cupy: ") and found.lines
    page = page_of(found)
    assert "nothing was executed there" in page and html.escape(found.source[found.lines[0] - 1]) in page
    for wrong, message in (({"version": 9}, "versions 1, 2; 9 is not one"), ({"backend": "cpu"}, "has no CUDA kernels")):
        with pytest.raises(ContractError, match=message):
            ladder_subject("bce_logits", **wrong)


def test_a_kernel_that_parts_and_touches_no_memory_has_a_page():
    found = KernelExplanation("k", "n 1", ("if (t) f();",), {}, (), (Parting(1, 1, "1" * 16 + "0" * 16, ("1" * 16 + "0" * 16,)),))
    assert found.line().line == 1 and 'id="line-1"' in page_of(found)


# ---- pictures ------------------------------------------------------------------------------------------------------------------


def marks(svg):
    """Return {(row, column): kind} of a picture's cells, from their places, and what they say."""
    pattern = r'<rect class="(hit|clash|jumps|stays)" x="([\d.]+)" y="([\d.]+)" width="(\d+)"[^>]*><title>([^<]*)</title>'
    found = re.findall(pattern, svg)
    return {(round((float(y) - 18.5) / 10), round((float(x) - 40.5) / (int(w) + 1))): (kind, told)
            for kind, x, y, w, told in found}  # fmt: skip


def request(space, size, addresses):
    found = tuple(addresses) + (-1,) * (32 - len(tuple(addresses)))
    return Instruction(1, space, "ld", size, 1, 32, 32, found)


def test_banks_are_drawn_lane_by_lane():
    column = request("shared", 4, range(0, 32 * 128, 128))
    found = marks(banks(column))
    assert set(found) == {(lane, 0) for lane in range(32)} and {kind for kind, _ in found.values()} == {"clash"}
    assert found[5, 0][1] == "lane 5: word 160 in bank 0, one of 32 words there"
    padded = marks(banks(column, lambda w: w + w // 32))
    assert set(padded) == {(lane, lane) for lane in range(32)} and {kind for kind, _ in padded.values()} == {"hit"}
    same = marks(banks(request("shared", 4, [64] * 32)))
    assert set(same) == {(lane, 16) for lane in range(32)} and {kind for kind, _ in same.values()} == {"hit"}, "a broadcast"


def test_wide_accesses_collide_only_within_their_phase():
    found = marks(banks(request("shared", 16, range(0, 512, 16))))
    assert len(found) == 128 and {kind for kind, _ in found.values()} == {"hit"}, "lanes 0 and 8 meet in a bank, but not at a time"
    apart = marks(banks(request("shared", 16, range(0, 1024, 32))))
    assert {kind for kind, _ in apart.values()} == {"clash"} and apart[0, 0] and apart[4, 0]


def test_sectors_and_lanes_that_take_no_part():
    found = marks(sectors(request("global", 4, range(0, 80, 4))))
    assert set(found) == {(lane, lane // 8) for lane in range(20)}
    straddling = marks(sectors(request("global", 8, [28])))
    assert set(straddling) == {(0, 0), (0, 1)}
    wide = marks(sectors(request("global", 4, range(0, 32 * 256, 256))))
    assert set(wide) == {(lane, lane) for lane in range(32)}


def test_warps_at_a_branch():
    svg = branch(Parting(3, 1, "1" * 20 + "0" * 12, ("1" * 32, "1" * 20 + "0" * 12, "0" * 5 + " " * 27)))
    found = marks(svg)
    assert "3 warps at a branch, of which 1 part" in svg and len(found) == 32 + 32 + 5
    assert found[1, 19][0] == "jumps" and found[1, 20][0] == "stays" and (2, 5) not in found


# ---- in a browser --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if browser_path() is None:
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")
    pytest.importorskip("websockets", reason="Chromium is driven through websockets: pip install websockets")
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def address(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("opened") / "page.html"
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


def opened(browser, address, **size):
    page = browser.open(address, **size)
    page.until("document.readyState === 'complete' && travel")
    return page


def test_keys_move_through_lines_and_time(browser, address):
    page = opened(browser, address)
    shown = "[...document.querySelectorAll('article.line')].filter(a => a.offsetParent).map(a => a.dataset.line).join()"
    assert page.run(shown) == "8" and page.run("window.broken") is None
    page.press("j")
    assert page.run(shown) == "9" and page.run("document.activeElement.textContent") == "9"
    page.press("k")
    page.press("k")
    assert page.run(shown) == "6"
    assert page.text("#position").startswith("0 of ")
    page.press("ArrowRight")
    page.press("ArrowRight")
    page.press("ArrowLeft")
    assert page.text("#position").startswith("1 of ")
    page.click("#last")
    assert "The warp has ended" in page.text("#excerpt") and page.text("#lanes-on") == "no lane runs any more"
    rows = page.run("[...document.querySelectorAll('#values tr')].map(r => r.textContent)")
    assert "t0, 1 .. 31" in rows and "rows32" in rows
    page.run("[...document.querySelectorAll('#values button')].find(b => b.textContent === 't').click()")
    lanes = page.run("[...document.querySelectorAll('#lanes span')].map(s => s.lastChild.textContent)")
    assert lanes == [str(lane) for lane in range(32)]
    page.run("1")
    assert page.errors == []
    page.close()


def test_going_back_shows_what_was_there_before(browser, address):
    page = opened(browser, address)
    seen = "JSON.stringify([travel.shared, [...travel.known].map(([n, v]) => [n, v.short]), $('#excerpt').textContent])"
    every_second = "[...Array(data.steps.length + 1).keys()].filter(i => (data.steps.length - i) % 2 == 0)"
    at = f"{every_second}.WAY.map(i => {{ travel.go(i); return {seen}; }})"
    forward, backward = page.run(at.replace("WAY", "slice()")), page.run(at.replace("WAY", "reverse()"))
    assert forward == backward[::-1] and len(set(forward)) > 30
    x = np.random.default_rng(0).random((32, 32), np.float32)
    assert json.loads(forward[-1])[0][:4] == [f"{v:.6g}" for v in x[0, :4]]
    page.close()


def test_a_phone_and_both_themes(browser, address):
    page = opened(browser, address, width=360, height=740)
    ground, dark, light = "getComputedStyle(document.body).backgroundColor", "rgb(20, 24, 31)", "rgb(251, 250, 247)"
    for system, as_it_is, other in (("light", light, dark), ("dark", dark, light)):
        page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": system}])
        assert page.run("document.documentElement.scrollWidth") == 360, "nothing is wider than the screen"
        assert page.run(ground) == as_it_is
        page.click("#theme")
        assert page.run(ground) == other
        page.run("delete root.dataset.theme")
    page.close()
