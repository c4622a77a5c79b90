"""Tables as people have them: categories, missing values, separators, encodings, and what of it comes out of a run again."""

import csv
import gzip
import io
import sys

import numpy as np
import pytest
from data_files import npy, refusal_of, shown
from hypothesis import given
from hypothesis import strategies as st
from quick_endings import draw_one_pixel
from told import told

from tinygan.cli.main import run as command
from tinygan.data import load
from tinygan.data.kinds import Table, codec_from_json
from tinygan.data.kinds.columns import without_formula


def table(tmp_path, text, name="t.csv", encoding="utf-8"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return tmp_path / name


def written(codec, x):
    """The rows of the CSV file that a codec writes."""
    return list(csv.reader(io.StringIO(codec.file_bytes(".csv", codec.decode(x)).decode(), newline="")))


# ---- categories -------------------------------------------------------------------------------------------------------------

COLOURS = "size,colour,price\n1,red,2.5\n2,blue,3.5\n4,red,7\n"


def test_categories_are_one_hot_and_come_back_as_texts(tmp_path):
    data = load(table(tmp_path, COLOURS))
    assert data.codec.columns == ("size", "colour=blue", "colour=red", "price")
    assert data.codec.categories == (("colour", 1, ("blue", "red")),)
    np.testing.assert_array_equal(data.x[:, 1:3], [[-1, 1], [1, -1], [-1, 1]])
    np.testing.assert_allclose(shown(data), [[1, 0, 1, 2.5], [2, 1, 0, 3.5], [4, 0, 1, 7]], atol=1e-6)
    header, *rows = written(data.codec, data.x)
    assert header == ["size", "colour", "price"] and [row[1] for row in rows] == ["red", "blue", "red"]
    assert data.summary == "t.csv: 3 rows of 3 columns: size, colour (2 categories), price"


def test_what_g_gives_is_the_likeliest_category(tmp_path):
    codec = load(table(tmp_path, COLOURS)).codec
    made = np.array([[0, 0.2, 0.1, 0], [0, -3.0, -2.0, 0]])
    np.testing.assert_array_equal(codec.decode(made)[:, 1:3], [[1, 0], [0, 1]])
    assert [row[1] for row in written(codec, made)[1:]] == ["blue", "red"]
    assert codec_from_json(codec.to_json()) == codec


def test_a_table_of_categories_alone_and_one_with_two_of_them(tmp_path):
    data = load(table(tmp_path, "name,pet\nann,cat\nbob,dog\ncy,cat\n"))
    assert data.codec.columns == ("name=ann", "name=bob", "name=cy", "pet=cat", "pet=dog")
    assert written(data.codec, data.x) == [["name", "pet"], ["ann", "cat"], ["bob", "dog"], ["cy", "cat"]]


def test_numbers_may_be_categories(tmp_path):
    data = load(table(tmp_path, "x,rooms\n1,10\n2,3\n5,10\n"), categories="rooms")
    assert data.codec.categories == (("rooms", 1, ("3", "10")),), "sorted by their size"
    assert [row[1] for row in written(data.codec, data.x)] == ["rooms", "10", "3", "10"]
    array = load(npy(tmp_path, np.array([[1.0, 10], [2, 3], [5, 10]])), categories="x1")
    assert array.codec.categories == (("x1", 1, ("3", "10")),)
    np.testing.assert_array_equal(array.x[:, 1:], data.x[:, 1:])


def test_more_texts_than_categories_may_have(tmp_path):
    def rows(n):
        return "a,name\n" + "".join(f"{i},n{i}\n" for i in range(n))
    assert load(table(tmp_path, rows(100))).codec.shape == (101,)
    message = refusal_of(load, table(tmp_path, rows(3000)))
    assert "line 2, column 2 (name): 'n0'" in message and "more than 100" in message and "--columns" in message
    assert "too many for categories" in refusal_of(load, npy(tmp_path, np.arange(404.0).reshape(-1, 2)), categories="x0")


@pytest.mark.parametrize("change", [
    {"categories": [["colour", 1]]}, {"categories": [["colour", 3, ["blue", "red"]]]}, {"categories": [["colour", -1, ["a"]]]},
    {"categories": [["a", 0, ["x", "y"]], ["b", 1, ["z"]]]}, {"categories": [["a", 0, []]]}, {"categories": [["a", 0, [1]]]},
    {"categories": [[1, 0, ["a"]]]}, {"categories": "colour"}, {"categories": [["a", True, ["x"]]]},
    {"categories": [["a", 0, "xy"]]},
], ids=str)
def test_categories_of_a_damaged_record_are_refused(tmp_path, change):
    record = load(table(tmp_path, COLOURS)).codec.to_json()
    assert "categories must be" in refusal_of(codec_from_json, {**record, **change})


def test_a_mixture_of_numbers_and_text_is_refused_with_the_three_cures(tmp_path):
    message = refusal_of(load, table(tmp_path, "a,b\n1,2\n3,x\n"))
    assert "'x' is not a finite number, as '2' in line 2 is" in message
    assert "correct it" in message and "--columns" in message and "--categories b" in message
    assert load(table(tmp_path, "a,b\n1,2\n3,x\n"), categories="b").codec.categories == (("b", 1, ("2", "x")),)


# ---- missing values and columns -----------------------------------------------------------------------------------------------

HOLES = "a,b,c\n1,2,red\n,4,blue\n5,NA,red\n7,8,\n9,1,blue\n"


def test_rows_that_lack_a_value_are_refused_or_left_out(tmp_path):
    message = refusal_of(load, table(tmp_path, HOLES))
    assert "3 of 5 rows lack a value; first: line 3, column 1 (a): ''" in message and "--drop-missing" in message
    data = load(table(tmp_path, HOLES), drop_missing=True)
    np.testing.assert_allclose(shown(data), [[1, 2, 0, 1], [9, 1, 1, 0]], atol=1e-6)
    assert data.notes == ("3 of 5 rows lack a value and were left out; first: line 3, column 1 (a): ''",)


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "null", "None", "#N/A", "?", "<NA>", "-nan"])
def test_what_counts_as_missing(tmp_path, text):
    data = load(table(tmp_path, f"a,b\n1,2\n3,{text}\n4,9\n"), drop_missing=True)
    assert len(data.x) == 2 and "1 of 3 rows" in data.notes[0]


def test_only_columns_that_are_read_can_lack_values(tmp_path):
    data = load(table(tmp_path, HOLES), columns="c, b", drop_missing=True)
    assert data.codec.columns == ("c=blue", "c=red", "b") and len(data.x) == 3, "in the order asked for"
    rows = load(table(tmp_path, "a,b,c\n1,,3\n4,,9\n"), columns="c,a")
    np.testing.assert_allclose(shown(rows), [[3, 1], [9, 4]])
    quoted = load(table(tmp_path, '"a, b",c\n1,2\n3,5\n'), columns='"a, b"')
    assert quoted.codec.columns == ("a, b",)


@pytest.mark.parametrize(("options", "says"), [
    ({"columns": "a,hight"}, "no column is called 'hight'; did you mean 'height'?"), ({"columns": "a,a"}, "asked for twice"),
    ({"columns": ""}, "no column is named"), ({"columns": "a", "categories": "height"}, "--columns leaves out"),
    ({"categories": "b"}, "several columns are called 'b'"), ({"columns": "b"}, "several columns are called 'b'")])
def test_columns_that_are_not_there(tmp_path, options, says):
    assert says in refusal_of(load, table(tmp_path, "a,height,b,b\n1,2,3,4\n3,4,5,6\n"), **options)


@pytest.mark.parametrize("wanted", ["a\nb", "a\rb", "a\0"])
def test_columns_with_line_breaks_and_zero_bytes_are_refused(tmp_path, wanted):
    """csv raised an error of its own for a line break and, with Python 3.10, for a zero byte."""
    assert refusal_of(load, table(tmp_path, "a,b\n1,2\n3,4\n"), columns=wanted)


def test_a_name_with_a_line_break_is_quoted(tmp_path):
    data = load(table(tmp_path, '"a\nb",c\n1,2\n3,5\n4,7\n'), columns='c,"a\nb"')
    assert data.codec.columns == ("c", "a\nb")


def test_columns_of_an_array(tmp_path):
    rows = np.array([[1.0, np.nan, 3], [4, 5, 7], [6, 7, 1]])
    assert "--drop-missing" in refusal_of(load, npy(tmp_path, rows))
    data = load(npy(tmp_path, rows), columns="x2,x0")
    assert data.codec.columns == ("x2", "x0")
    np.testing.assert_allclose(shown(data), [[3, 1], [7, 4], [1, 6]], atol=1e-6)
    assert len(load(npy(tmp_path, rows), drop_missing=True).x) == 2
    assert "no column is called 'x3'" in refusal_of(load, npy(tmp_path, rows), columns="x3")


def test_every_row_lacks_a_value(tmp_path):
    message = refusal_of(load, table(tmp_path, "a,b\n1,\n2,\n"), drop_missing=True)
    assert "leaves none" in message and "b" in message and "--columns" in message


@pytest.mark.parametrize("index", [",a,b\n0,1.5,2\n1,3.5,4\n2,1.2,1\n", "Unnamed: 0,a,b\n3,1.5,2\n8,3.5,4\n9,1.2,1\n",
                                   ",a,b\n5,1.5,2\n3,3.5,4\n2,1.2,1\n", '"",a,b\nFiat,1.5,2\nVolvo,3.5,4\nFord,1.2,1\n'])
def test_the_index_of_pandas_and_names_of_rows_are_no_column(tmp_path, index):
    data = load(table(tmp_path, index))
    assert data.codec.columns == ("a", "b") and "labels the rows: left out" in data.notes[0]
    np.testing.assert_allclose(shown(data), [[1.5, 2], [3.5, 4], [1.2, 1]], atol=1e-6)
    name = "'Unnamed: 0'" if "Unnamed" in index else "x0"
    assert f"(--columns {name},... reads it)" in data.notes[0]
    assert len(load(table(tmp_path, index), columns=f"{name.strip(chr(39))},a").codec.columns) > 1


def test_an_index_that_was_written_twice(tmp_path):
    """As by a frame that was read without its index and written again."""
    data = load(table(tmp_path, ",Unnamed: 0,a\n0,7,1.5\n1,8,3.5\n2,5,1.2\n"))
    assert data.codec.columns == ("a",) and data.notes[0].startswith("the first 2 columns have no name and label the rows")


def test_names_of_rows_may_be_any_number_of_texts_if_all_differ(tmp_path):
    rows = "".join(f"r{i},{i % 7}\n" for i in range(300))
    assert load(table(tmp_path, f",a\n{rows}")).codec.columns == ("a",)
    assert "more than 100" in refusal_of(load, table(tmp_path, f",a\n{rows}r5,1\n"))
    assert "more than 100" in refusal_of(load, table(tmp_path, f"name,a\n{rows}"))


@pytest.mark.parametrize("text", [
    ",a,b\n0.5,1.5,2\n1,3.5,4\n2,1.2,1\n", ",a,b\n5,1.5,2\n2,3.5,4\n2,1.2,1\n", "x0,a,b\n0,1.5,2\n1,3.5,4\n2,1.2,1\n",
    "0,1.5,2\n1,3.5,4\n2,1.2,1\n"])
def test_a_first_column_that_does_not_label_the_rows_or_has_a_name_stays(tmp_path, text):
    assert load(table(tmp_path, text)).codec.shape == (3,)


def test_a_separator_at_the_end_of_each_line(tmp_path):
    data = load(table(tmp_path, "a,b,\n1,2,\n3,5,\n"))
    assert data.codec.columns == ("a", "b") and "1 empty column(s) without a name" in data.notes[0]


# ---- headers, separators, decimal commas ----------------------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "columns"), [
    ('"temp (C; outdoor)",hum\n1,2\n3,4\n', ("temp (C; outdoor)", "hum")), ("temp (C; outdoor),hum\n1,2\n3,4\n", None),
    ('"a\tb";c\n1;2\n3;4\n', ("a\tb", "c")), ("a|b\n1|2\n3|4\n", ("a", "b")), ("a b\n1 2\n3  4\n", ("a", "b")),
    ("# a,b\n1,2\n3,4\n", ("a", "b")), ("id,2020\n1,2\n3,4\n", ("id", "2020")), ('"a\nb",c\n1,2\n3,4\n', ("a\nb", "c"))])
def test_separators_outside_of_quotes(tmp_path, text, columns):
    data = load(table(tmp_path, text))
    assert data.codec.columns == (columns or ("temp (C; outdoor)", "hum"))
    np.testing.assert_allclose(shown(data), [[1, 2], [3, 4]], atol=1e-6)


def test_text_with_semicolons_in_a_table_with_commas(tmp_path):
    data = load(table(tmp_path, 'what,n\n"a; b",1\n"c; d",2\n"a; b",5\n'))
    assert data.codec.categories == (("what", 0, ("a; b", "c; d")),)


def test_without_a_header_a_note_says_so(tmp_path):
    data = load(table(tmp_path, "1,red\n2,blue\n3,red\n"))
    assert data.notes == ("no header: the first row was read as data; --header takes it for names",) and len(data.x) == 3
    assert data.codec.columns == ("x0", "x1=blue", "x1=red")


@pytest.mark.parametrize(("text", "columns", "note"), [
    ("colour,size\nred,big\nblue,small\nred,small\n", ("colour=blue", "colour=red", "size=big", "size=small"),
     "the first row has the names of the columns, as none of it stands again below; --no-header takes it for data"),
    ("red,big\nblue,small\ngreen,big\n", ("x0=blue", "x0=green", "x0=red", "x1=big", "x1=small"),
     "no header: 'big' stands in the first row and again below it, so that row was read as data; --header takes it for names"),
    ("2019,2020\n1,2\n4,3\n", ("x0", "x1"), "no header: the first row was read as data; --header takes it for names"),
    ("name,2019\nx,1\ny,4\n", ("x0=name", "x0=x", "x0=y", "x1"),
     "no header: the first row was read as data; --header takes it for names"),
    ("id,2020\n1,2\n3,4\n", ("id", "2020"),
     "the first row has the names of the columns, as it has text above a number; --no-header takes it for data"),
    ("a,b\n,red\n1,blue\n4,red\n", ("a", "b=blue", "b=red"), None), ("a,b\nNA,\n1,2\n3,5\n", ("a", "b"), None),
    ("1,5;2,5\n2,5;1,5\n", ("x0", "x1"), "no header: the first row was read as data; --header takes it for names"),
    ("a\n1\n2\n", ("a",), None),
])
def test_whether_the_first_row_has_names_is_told_by_a_rule(tmp_path, text, columns, note):
    data = load(table(tmp_path, text), drop_missing=True)
    assert data.codec.columns == columns
    assert [line for line in data.notes if "row" in line and "lack" not in line] == ([note] if note else [])


def test_whether_the_first_row_has_names_may_be_said(tmp_path):
    years = table(tmp_path, "2019,2020\n1,2\n4,3\n")
    named, plain = load(years, header=True), load(years, header=False)
    assert named.codec.columns == ("2019", "2020") and len(named.x) == 2 and named.notes == ()
    assert plain.codec.columns == ("x0", "x1") and len(plain.x) == 3 and plain.notes == ()
    texts = load(table(tmp_path, "red,big\nblue,small\n"), header=False)
    assert texts.codec.columns == ("x0=blue", "x0=red", "x1=big", "x1=small")
    mixed = table(tmp_path, "name,1\nx,red\ny,blue\n")
    assert "if line 1 has the names of the columns, say so: --header" in refusal_of(load, mixed)
    assert load(mixed, header=True).codec.columns == ("name=x", "name=y", "1=blue", "1=red")
    assert "--header" not in refusal_of(load, mixed, header=False)
    assert "--header is for tables in text files" in refusal_of(load, npy(tmp_path, np.eye(3)), header=True)
    assert len(load(npy(tmp_path, np.eye(3)), header=False).x) == 3


@pytest.mark.parametrize(("text", "columns", "left_out"), [
    ("# made by x\na,b\n1,2\n3,4\n", ("a", "b"), 1), ("# made by x, y, z\n\n# z\na,b\n1,2\n3,4\n", ("a", "b"), 2),
    ("# made by x\n# a,b\n1,2\n3,4\n", ("a", "b"), 1), ("# a b\n1 2\n3 4\n", ("a", "b"), 0),
    ("# x\n# a b\n1 2\n3 4\n", ("a", "b"), 1),
    ("sep=;\na;b\n1;2\n3;4\n", ("a", "b"), 0), ('"sep=,"\r\na,b\r\n1,2\r\n3,4\r\n', ("a", "b"), 0),
    ("#f00,1\n#0f0,2\n", ("x0=#0f0", "x0=#f00", "x1"), 0),
])
def test_lines_above_the_table(tmp_path, text, columns, left_out):
    """Remarks, the header that numpy.savetxt writes, and the line that tells Excel what separates cells."""
    data = load(table(tmp_path, text))
    assert data.codec.columns == columns and len(data.x) == 2
    said = [note for note in data.notes if "begin with #" in note]
    assert said == ([f"{left_out} line(s) that begin with # were left out"] if left_out else [])


def test_lines_are_counted_from_the_top_of_the_file(tmp_path):
    assert "line 5, column 2 (b): 'x'" in refusal_of(load, table(tmp_path, "# m, n, o\n\na,b\n1,2\n3,x\n"))
    assert "line 4, column 1 (a): ''" in refusal_of(load, table(tmp_path, "sep=;\na;b\n1;2\n;4\n"))


@pytest.mark.parametrize("mark", ["-", "--", "\u2014", ".", "\\N", "N.A.", "#DIV/0!", "missing"])
def test_marks_of_missing_numbers(tmp_path, mark):
    """In a column of numbers they are missing values; in one of texts each is a category."""
    message = refusal_of(load, table(tmp_path, f"a,b\n1,2\n3,{mark}\n4,9\n"))
    assert "1 of 3 rows lack a value; first: line 3, column 2 (b)" in message and "--drop-missing" in message
    data = load(table(tmp_path, f"a,b\n{mark},2\n3,{mark}\n4,9\n5,1\n"), drop_missing=True)
    np.testing.assert_allclose(shown(data), [[4, 9], [5, 1]])
    assert load(table(tmp_path, f"a,strand\n1,+\n2,{mark}\n3,+\n")).codec.categories[0][2] == tuple(sorted(("+", mark)))
    assert "'x' is not a finite number" in refusal_of(load, table(tmp_path, f"a\n1\n{mark}\nx\n"))


@pytest.mark.parametrize("texts", [("$3.50", "$4.00"), ("50%", "60 %"), ("'1'", "'2'"), ('"=""1"""', '"=""2"""'), ("1,5 €", "3 €")])
def test_numbers_with_units_or_in_quotes_are_refused(tmp_path, texts):
    rows = "".join(f"{i};{text}\n" for i, text in enumerate(texts))
    path = table(tmp_path, f"a;b\n{rows}")
    assert "may be a number with a unit or in quotes" in refusal_of(load, path)
    assert len(load(path, categories="b").codec.categories[0][2]) == 2
    assert load(table(tmp_path, f"a;b\n{rows}9;all\n")).codec.shape == (4,), "with another text they are texts"


def test_columns_that_would_better_be_left_out_are_told(tmp_path):
    rows = "".join(f"{i + 3},2024-01-{i + 1:02d},{'ab'[i % 2]},{i * i}\n" for i in range(12))
    notes = load(table(tmp_path, f"id,date,kind,n\n{rows}")).notes
    assert notes == ("texts that hardly repeat are categories all the same: date (12 in 12 rows); leave names, dates and remarks "
                     "out by --columns", "id: counts the rows, which G will imitate; --columns leaves it out")
    assert load(table(tmp_path, f"id,date,kind,n\n{rows}"), columns="kind,n").notes == ()


def test_categories_that_differ_in_capital_letters_alone_are_told(tmp_path):
    data = load(table(tmp_path, "a,b,n\nTrue,x,1\nTRUE,y,2\nfalse,x,3\n"))
    assert data.notes == ("a: TRUE and True are categories of their own, though they differ in capital letters alone; write each "
                          "in one way if it is one",)
    assert data.codec.shape == (3 + 2 + 1,)


@pytest.mark.parametrize("text", ["a;b\n1,5;2\n-3,25e1;,5\n", "a\tb\n1,5\t2\n-3,25e1\t,5\n"])
def test_decimal_commas_where_something_else_separates_cells(tmp_path, text):
    data = load(table(tmp_path, text))
    np.testing.assert_allclose(shown(data), [[1.5, 2], [-32.5, 0.5]], atol=1e-6)
    assert data.notes == ("decimal commas were read in a, b",)


@pytest.mark.parametrize(("text", "says"), [
    ("a;b\n1,5;2\n2.5;3\n", "line 2, column 1 (a): '1,5' has a decimal comma and '2.5' in line 3 a decimal point"),
    ("a;b\n1.234,5;2\n2;3\n", "thousands"), ("a;b\n1.234,5;2\n2.345,1;3\n", "thousands"), ('a,b\n"1,5",2\n3,4\n', "decimal comma"),
    ('a,b\n"1,234,567.5",2\n"2,345,678",4\n', "thousands"), ("a,b\n1'234.5,2\n3,4\n", "thousands")])
def test_numbers_that_could_be_two_things_are_refused(tmp_path, text, says):
    assert says in refusal_of(load, table(tmp_path, text))


@pytest.mark.parametrize(("text", "says"), [
    ('a,b\n1,"2\n3,4\n', "a quote opens and is not closed"), ('a,b\n"1"x,2\n3,4\n', "text follows a closing quote"),
    ("a\n" + "1" * 200_000, "131,072 characters"), (b"a,b\n1,2\x00\n3,4\n", "zero bytes")])
def test_the_reason_is_the_true_one(tmp_path, text, says):
    message = refusal_of(load, table(tmp_path, text))
    assert says in message and "damaged" not in message


# ---- encodings and gzip ----------------------------------------------------------------------------------------------------------

TEXT = "größe,farbe\n1,rötlich\n3,blau\n"


@pytest.mark.parametrize(("encoding", "note"), [
    ("utf-8", None), ("utf-8-sig", None), ("latin-1", "Windows-1252 (Latin-1)"), ("utf-16", "UTF-16"), ("utf-32", "UTF-32")])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_plain_and_gzipped(tmp_path, encoding, note, packed):
    content = TEXT.encode(encoding)
    data = load(table(tmp_path, gzip.compress(content) if packed else content, "t.csv.gz" if packed else "t.csv"))
    assert data.codec.columns == ("größe", "farbe=blau", "farbe=rötlich")
    assert len(data.notes) == (note is not None) and all(note in line for line in data.notes)


def test_utf_16_big_endian(tmp_path):
    assert load(table(tmp_path, b"\xfe\xff" + TEXT.encode("utf-16-be"))).codec.columns[0] == "größe"


def test_an_umlaut_far_behind_is_found_before_anything_is_read(tmp_path):
    text = "a,b\n" + "1,x\n2,y\n" * 5000 + "3,ö\n"
    assert load(table(tmp_path, text, encoding="latin-1")).codec.columns[-1] == "b=ö"


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_gzip_that_is_cut_short(tmp_path, cut):
    message = refusal_of(load, table(tmp_path, gzip.compress(TEXT.encode())[:-cut], "t.csv.gz"))
    assert "cut short" in message


def test_tables_with_tabs_by_name(tmp_path):
    assert load(table(tmp_path, "a\tb\n1\t2\n3\t4\n", "t.tsv")).codec.columns == ("a", "b")


# ---- formulas --------------------------------------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+a", "-b", "@SUM(A1)", "\tx", "\rx", "\uff1dA1", "=HYPERLINK(\"http://x\")", "-1+1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_is_a_formula_gets_an_apostrophe(tmp_path, text):
    codec = Table((3,), (0.5, 0.5, 0.0), (0.5, 0.5, 1.0), ("c=a", "c=b", text), categories=(("c", 0, ("plain", text)),))
    header, *rows = written(codec, np.array([[1, -1, -1.5], [-1, 1, 2.0]]))
    assert header == ["c", f"'{text}"]
    assert rows == [["plain", "-1.5"], [f"'{text}", "2.0"]], "numbers stay numbers"
    assert len(codec.writing_notes(".csv")) == 1 and codec.writing_notes(".npy") == ()


@pytest.mark.parametrize("text", ["a", "", "-1.5", "+2", "-1e-5", "'=1", "a=b", " =1"])
def test_other_text_and_numbers_are_as_they_were(text):
    assert without_formula(text) == text


# Python 3.10 reads no zero bytes in CSV, which this test would have to.
TEXTS = st.text(min_size=1) if sys.version_info >= (3, 11) else st.text(st.characters(exclude_characters="\0"), min_size=1)


@given(st.lists(TEXTS, min_size=2, max_size=5, unique=True))
def test_no_cell_that_is_written_begins_a_formula(texts):
    k = len(texts)
    codec = Table((k,), (0.5,) * k, (0.5,) * k, tuple(texts), categories=((texts[0], 0, tuple(texts)),))
    for row in written(codec, np.eye(k) * 2 - 1):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or np.isfinite(float(cell))


# ---- on the command line ---------------------------------------------------------------------------------------------------------


def test_what_was_understood_is_said_and_stored_from_training_to_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_one_pixel(monkeypatch)
    table(tmp_path, "size,kind,price\n" + "".join(f"{i},{'=a' if i % 3 else 'b'},{i * i}\n" for i in range(9)) + ",b,5\n")
    quick = ["--backend", "reference", "--out", "r"]
    assert command(["train", "t.csv", "--steps", "1", *quick]) == 2
    assert "--drop-missing" in capsys.readouterr().err
    given = ["--drop-missing", "--columns", "kind,size"]
    assert command(["train", "t.csv", "--steps", "1", "--hidden", "4", "--batch", "3", *given, *quick]) == 0
    said = told(capsys.readouterr().err)
    assert said[0] == "t.csv: 9 rows of 2 columns: kind (2 categories), size" and "1 of 10 rows" in said[1] and len(said) == 2
    assert command(["train", "t.csv", "--steps", "2", "--resume", *quick]) == 0, "read again as it was at first"
    assert command(["sample", "r", "-n", "5", "-o", "s.csv", "--backend", "reference"]) == 0
    assert "'=a': a spreadsheet would take it for a formula" in capsys.readouterr().err
    header, *rows = csv.reader((tmp_path / "s.csv").read_text().splitlines())
    assert header == ["kind", "size"] and len(rows) == 5 and {row[0] for row in rows} <= {"'=a", "b"}
    assert command(["train", "t.csv", "--steps", "3", "--resume", "--columns", "size", *quick]) == 2
    assert "--columns is size, but the run in r has kind,size" in capsys.readouterr().err


# ---- other data in the units of a run --------------------------------------------------------------------------------------------


def test_columns_are_brought_into_the_order_of_the_run(tmp_path):
    own = load(table(tmp_path, "a,b,colour\n1,2,red\n3,9,blue\n5,5,green\n"))
    held = load(table(tmp_path, "colour,b,a\ngreen,7,2\nblue,8,4\nblue,1,1\n", "held.csv"))
    seen = held.in_units_of(own.codec)
    assert seen.codec == own.codec and own.codec.columns == ("a", "b", "colour=blue", "colour=green", "colour=red")
    np.testing.assert_allclose(own.codec.decode(seen.x), [[2, 7, 0, 1, 0], [4, 8, 1, 0, 0], [1, 1, 1, 0, 0]], atol=1e-6)
    np.testing.assert_array_equal(seen.x[:, 2:], [[-1, 1, -1], [1, -1, -1], [1, -1, -1]])


@pytest.mark.parametrize(("text", "told"), [
    ("a,b,colour\n1,2,pink\n3,4,red\n", "its column colour has pink, which the run's data have not"),
    ("a,b\n1,2\n3,4\n", "lacks the columns colour=blue, colour=red"),
    ("a,b,colour,d\n1,2,red,1\n3,4,blue,2\n", "has d besides"),
    ("a,b,colour\n1,2,1\n3,4,2\n", "lacks the columns colour=blue, colour=red and has colour besides"),
    ("b,b,a,colour\n1,2,1,red\n3,4,2,blue\n", "several of its columns have one name"),
])
def test_other_columns_are_named(tmp_path, text, told):
    own = load(table(tmp_path, "a,b,colour\n1,2,red\n3,9,blue\n"))
    assert told in refusal_of(load(table(tmp_path, text, "held.csv")).in_units_of, own.codec)
