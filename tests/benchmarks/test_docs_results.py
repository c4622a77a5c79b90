"""The pages are made of the records of measurements, and so are the README's headlines; what was not measured has no cell."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.docs import quality_tables, results
from benchmarks.docs.markdown import blocks, filled
from tests.support.measured_records import STAMP, density_record, row_of, small_record, steps_of_sides, with_densities

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("page", results.SECTIONS)
def test_pages_are_those_of_the_records(page):
    """Run `python -m benchmarks.docs.results` where this fails after a measurement."""
    text = (results.ROOT / page).read_text()
    assert blocks(text) == list(results.SECTIONS[page])
    assert results.render(text, page) == text
    wrong = re.sub(r"commit \w{7},", "commit 0000000,", text)
    assert results.render(wrong, page) == text != wrong


@pytest.mark.parametrize("page", results.SECTIONS)
def test_every_block_has_its_numbers_machine_and_commit(page):
    text = (results.ROOT / page).read_text()
    for name in blocks(text):
        content = text.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
        assert len(content) > 100 and "commit" in content, name
        assert "| - |" not in content and "not run." not in content, name


def test_a_block_is_filled_when_its_table_is_there(tmp_path, monkeypatch, capsys):
    """Where only the defaults were measured, their table goes in, and what stands between the other markers stays."""
    names = results.SECTIONS["docs/results.md"]
    text = "".join(f"<!-- begin {name} -->\nold {name}\n<!-- end {name} -->\n" for name in names)
    record = small_record()
    record["tables"] = {"results": record["tables"]["results"]}
    (tmp_path / "presets.json").write_text(json.dumps(record))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    made = results.render(text, "docs/results.md")
    assert quality_tables.results_section(record) in made and "old results" not in made
    assert all(f"old {name}\n" in made for name in set(names) - {"results"})
    assert "presets.json has no such table; block 'pacgan'" in capsys.readouterr().out


def test_markers_have_to_be_there_once():
    with pytest.raises(ValueError, match="markers <!-- begin a --> and <!-- end a --> once each"):
        filled("<!-- begin a -->\n", "a", "text")
    assert filled("x <!-- begin a -->old<!-- end a --> y", "a", "new") == "x <!-- begin a -->\nnew\n<!-- end a --> y"


def test_the_headlines():
    report = {"stamp": STAMP, "workloads": {"ring": steps_of_sides({"tinygan": 2.0, "torch": 5.0})}}
    assert "takes 2.50 (ring) times as long" in results.speed_headline(report)
    presets_record, density = with_densities(small_record()), density_record()
    density["tables"]["density"].append(row_of("grid", "density", *density["tables"]["density"][0]["runs"][:1], commits=("123",)))
    text = results.quality_headline({"presets": presets_record, "density": density})
    assert "7.5 of 8 modes (ring)" in text and "recall 0.87" in text and "means over 2 seeds" in text
    assert "true ones: 0.28 to 0.62 (ring), 0.28 to 0.62 (grid); with" in text
    assert text.endswith("`--preset density` 0.41 to 1.05 (ring), 0.94 to 1.05 (grid) (commits abc, def, 123).")
