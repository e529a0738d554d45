"""Text files as people have them: each kind read by a `Stream` and by `load_file` to the numbers that it means."""

import gzip

import numpy as np
import pytest

from funcgrad.datasets import CsvOptions, DataError, Stream, load_file

pa = pytest.importorskip("pyarrow")

HUNDRED = "\n".join(f'{j},"a ""quoted"" text,\nover {j} lines",{2 * j}' for j in range(100))
NARROW, WIDE = "\u202f", "\u00a0"

# The file's text or bytes, the options, and the rows that it means: features, then y.
FILES = {
    "quoted line breaks": (f"x,note,y\n{HUNDRED}\n", {"features": ["x"]}, [[j, 2 * j] for j in range(100)]),
    "French": ("taille;poids;y\n1,5;2,25;4\n-0,5;1e1;3,125\n", {}, [[1.5, 2.25, 4], [-0.5, 10, 3.125]]),
    "French from Excel": (
        "\ufefftaille (m);y\r\n1,75;1 234,5\r\n1,8;2 345 678,25\r\n".encode(),
        {},
        [[1.75, 1234.5], [1.8, 2345678.25]],
    ),
    "French in Windows' encoding": ("été;y\r\n1,5;2\r\n2,5;3\r\n".encode("cp1252"), {}, [[1.5, 2], [2.5, 3]]),
    "three decimals": ("a;y\n1,234;2,345\n2,000;3,125\n", {}, [[1.234, 2.345], [2, 3.125]]),
    "narrow spaces": (f"a;y\n1{NARROW}234,5;2\n5{NARROW}000;3\n", {}, [[1234.5, 2], [5000, 3]]),
    "unbreakable spaces": (f"a;y\n1{WIDE}234;2,5\n7;3\n", {}, [[1234, 2.5], [7, 3]]),
    "spaces of several kinds": (
        f"a;y\n1 234,5;2\n5{NARROW}000;3\n1{WIDE}234{NARROW}567;4\n", {}, [[1234.5, 2], [5000, 3], [1234567, 4]],
    ),
    "German": ("a;y\n1.234,5;2,5\n2.000;3,5\n", {}, [[1234.5, 2.5], [2000, 3.5]]),
    "Swiss": ("a;y\n1'234.5;2.5\n2'000;3.5\n", {}, [[1234.5, 2.5], [2000, 3.5]]),
    "English thousands": ('a,y\n"1,234.5",2\n"2,000",3\n', {}, [[1234.5, 2], [2000, 3]]),
    "Excel's own line": ("sep=;\r\na;y\r\n1,5;2\r\n3;4\r\n", {}, [[1.5, 2], [3, 4]]),
    "Excel's own line before commas": ('"sep=|"\na|y\n1,5|2\n3|4\n', {}, [[1.5, 2], [3, 4]]),
    "an index that pandas named": ("Unnamed: 0,a,y\n0,1,2\n1,3,4\n", {}, [[1, 2], [3, 4]]),
    "decimals below one": ("note;a;y\nv2,5;0.500;2\nv2;0.250;4\n", {"features": ["a"]}, [[0.5, 2], [0.25, 4]]),
    "decimals below one, quoted": ('a,y\n"0,500",2\n"0,250",4\n', {}, [[0.5, 2], [0.25, 4]]),
    "tabs": ("a\ty\n1\t2\n3\t4\n", {}, [[1, 2], [3, 4]]),
    "bars": ("a|y\n1|2\n3|4\n", {}, [[1, 2], [3, 4]]),
    "spaces in columns": ("a      y\n1    2.5\n10   4\n", {}, [[1, 2.5], [10, 4]]),
    "comments above": ("# made by hand\n#\n\na,y\n1,2\n3,4\n", {}, [[1, 2], [3, 4]]),
    "other comments": ("% made by hand\na,y\n1,2\n3,4\n", {"csv": {"comment": "%"}}, [[1, 2], [3, 4]]),
    "trailing delimiters": ("a,y,\n1,2,\n3,4,\n", {}, [[1, 2], [3, 4]]),
    "below the header alone": ("a,y\n1,2,\n3,4,\n", {}, [[1, 2], [3, 4]]),
    "row names of R": ('"a","y"\n"one",1,2\n"two",3,4\n', {}, [[1, 2], [3, 4]]),
    "an index of pandas": (",a,y\n0,1,2\n1,3,4\n", {}, [[1, 2], [3, 4]]),
    "text that is not used": ("who,a,y\nAda,1,2\nBob,3,4\n", {"features": ["a"]}, [[1, 2], [3, 4]]),
    "a name twice, not used": ("b,a,b,y\n9,1,9,2\n9,3,9,4\n", {"features": ["a"]}, [[1, 2], [3, 4]]),
    "a name with a comma": ('"a, b",y\n1,2\n3,4\n', {"features": ["a, b"]}, [[1, 2], [3, 4]]),
    "quotes after spaces": ('a, y\n"1", "2"\n"3", "4"\n', {}, [[1, 2], [3, 4]]),
    "a quote within text": ('a,b,y\n1,a 5" pipe,2\n3,b,4\n', {"features": ["a"]}, [[1, 2], [3, 4]]),
    "blank lines": ("\n\na,y\n\n1,2\n\n3,4\n\n", {}, [[1, 2], [3, 4]]),
    "truth": ("a,y\nTRUE,2\nfalse,4\n", {}, [[1, 2], [0, 4]]),
    "truth and Excel's missing": ("a,y\nTRUE,2\n#N/A,3\n<NA>,3\n0,4\n", {"missing": "drop"}, [[1, 2], [0, 4]]),
    "no header": ("1,2\n3,4\n", {"csv": {"header": False}, "target": "x1"}, [[1, 2], [3, 4]]),
    "UTF-16": ("a;y\r\n1,5;2\r\n3;4\r\n".encode("utf-16"), {}, [[1.5, 2], [3, 4]]),
    "points said to group": ("a;y\n1.234;2\n", {"csv": {"thousands": "."}}, [[1234, 2]]),
    "points said to be decimal": ("a;y\n1.234;2\n", {"csv": {"decimal": "."}}, [[1.234, 2]]),
    "points that group nothing": ("a;y\n1.234;0.5\n", {}, [[1.234, 0.5]]),
    "told otherwise": ("a\ty\n1,234\t2\n", {"csv": {"thousands": ","}}, [[1234, 2]]),
}  # fmt: skip


def options_of(options):
    more = dict(options)
    csv = CsvOptions(**more.pop("csv")) if "csv" in more else None
    return more.pop("target", "y"), csv, more


@pytest.mark.parametrize("name", FILES)
def test_a_stream_reads_what_is_meant(tmp_path, name):
    content, options, rows = FILES[name]
    target, csv, more = options_of(options)
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    # Small parts, so that the file is cut where it may be.
    stream = Stream(path, target, csv=csv, memory=1 << 16, **more)
    x, y = (np.concatenate(parts) for parts in zip(*stream, strict=True))
    np.testing.assert_array_equal(np.column_stack([x, y]), rows)


@pytest.mark.parametrize(
    "name", [n for n in FILES if not {"features", "missing"} & set(FILES[n][1])]
)
def test_load_file_reads_the_same(tmp_path, name):
    content, options, rows = FILES[name]
    target, csv, _ = options_of(options)
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if name in ("row names of R",):
        return  # its index is text, which has no place in a table that is read whole
    data = load_file(path, target, csv=csv)
    np.testing.assert_array_equal(np.column_stack([data.x, data.y]), rows)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_compressed_files(tmp_path, suffix):
    text = "a;y\n" + "".join(f"{j},5;{2 * j}\n" for j in range(5000))
    path = tmp_path / f"table.csv{suffix}"
    if suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        with pa.output_stream(str(path), compression="detect") as file:
            file.write(text.encode())
    stream = Stream(path, "y", memory=1 << 20)
    x, y = (np.concatenate(parts) for parts in zip(*stream, strict=True))
    np.testing.assert_array_equal(x[:, 0], np.arange(5000) + 0.5)
    np.testing.assert_array_equal(y, 2.0 * np.arange(5000))
    if suffix == ".gz":
        np.testing.assert_array_equal(load_file(path, "y").x, x)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a\ty\n1,234\t2\n", {}, "'1,234' could be a number with decimals or one with thousands"),
        (
            'n,a,y\n"2,5",1.234,2\n',
            {},
            "'1.234' could be a number with decimals or one with thousands",
        ),
        ("a;b;y\n0.500;1,5;2\n", {}, "'0.500' is not a number; are decimals after '.'"),
        ("a,y\n9007199254740993,2\n", {}, "integer 9007199254740993 is beyond 2"),
        ("a;y\n1,5;5%\n", {}, "'5%' is not a number; write the share itself, such as 0.05"),
        ("a,y\n1,2\n3,4;5\n", {}, "'4;5' is not a number"),
        ("a,y\nred,2\n", {}, "data row 1, column 'a': 'red' is not a number"),
        ("1,2\n3,4\n", {}, r"first line should name the columns.*--no-header"),
        ("b,a,b,y\n9,1,9,2\n", {"features": ["b"]}, "two columns have the same name: 'b'"),
        (
            "a;y\n1,5;2\n",
            {"csv": {"decimal": "."}},
            "'1,5' is not a number; are decimals after ','",
        ),
        ("a;y\n1 23 4;2\n", {}, "'1 23 4' is not a number"),
        # German whole numbers, or others' with three decimals; also where they come late.
        ("a;y\n1.234;2\n", {}, "'1.234' could be a number with decimals or one with thousands"),
        (
            "a;y\n" + "9;2\n" * 200 + "1.234;2\n",
            {},
            "'1.234' could be a number with decimals or one with thousands",
        ),
        (
            "a,y\n1,2\n\u0661\u0662,3\n",
            {},
            "data row 2, column 'a': '\u0661\u0662' is not a number",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(tmp_path, text, options, said):
    target, csv, more = options_of(options)
    path = tmp_path / "table.csv"
    path.write_text(text)
    for read in (lambda *given, **more: list(Stream(*given, **more)), load_file):
        with pytest.raises(DataError, match=said) as refused:
            read(path, target, csv=csv, **more)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delimiter": ";;"}, "delimiter must be one character"),
        ({"decimal": "_"}, "decimal must be one of"),
        ({"decimal": ",", "delimiter": ","}, "cannot be the decimal sign and more"),
        ({"encoding": "latin-99"}, "there is no encoding 'latin-99'"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        Stream(tmp_path, "y", csv=CsvOptions(**options))


def test_detection_is_said_in_one_line_where_it_is_not_plain(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a;y\n1,5;2 000,5\n")
    said = "delimiter ;, decimal ,, thousands space, encoding utf-8"
    assert [Stream(path, "y").detected, load_file(path, "y").detected] == [said, said]
    assert f"read with {said}" in repr(load_file(path, "y"))
    path.write_text("a,y\n1,2\n")
    assert [Stream(path, "y").detected, load_file(path, "y").detected] == [None, None]


def test_a_large_quoted_file_is_cut_outside_quotes_only(tmp_path):
    """Every line of text could be a row, were it not within quotes."""
    path = tmp_path / "table.csv"
    rows = [f'{j},"1,2\n3,4\n5,6",{3 * j}' for j in range(20_000)]
    path.write_text("\n".join(["a,text,y", *rows, ""]))
    stream = Stream(path, "y", features=["a"], memory=1 << 20, batch_rows=512, seed=0)
    assert len(stream._blocks) > 10
    x, y = (np.concatenate(parts) for parts in zip(*stream, strict=True))
    np.testing.assert_array_equal(np.sort(x[:, 0]), np.arange(20_000))
    np.testing.assert_array_equal(y, 3 * x[:, 0])
