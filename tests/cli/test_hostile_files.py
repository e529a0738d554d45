"""Files that would take all memory, or all time, or do harm: each is refused in one line, and nothing is lost."""

import io
import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from funcgrad.cli import main
from funcgrad.datasets import DataError, Stream, load_file
from tests.files.hostile import bomb, header, many_members

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX's kinds of files, and sparse ones")

MEMORY = 4 << 20
LARGE = 16 * MEMORY


def sparse(start, size=LARGE):
    """A file that begins so, and goes on with zeros far beyond the memory, without room on the disk."""

    def write(path):
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)

    return write


def content(made):
    return lambda path: path.write_bytes(made())


def overlapping():
    """Hundreds of members that are all the same bytes."""
    file = io.BytesIO()
    array = header((1000,)) + bytes(8000)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", array)
        first = archive.infolist()[0]
        for j in range(500):
            info = zipfile.ZipInfo(f"c{j}.npy")
            info.header_offset = first.header_offset
            info.CRC, info.file_size, info.compress_size = first.CRC, len(array), len(array)
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
    return file.getvalue()


def wide(columns, rows=3):
    lines = [",".join([*(f"c{j}" for j in range(columns - 1)), "y"])]
    lines += [",".join(str((i + j) % 7) for j in range(columns)) for i in range(rows)]
    return "\n".join(lines).encode()


# The name of the file, how it is made, and what is said of it.
FILES = {
    "wide header": ("t.npy", content(lambda: header((3, 10**15))), "do not hold the array"),
    "long header": ("t.npy", content(lambda: header((2**62, 4))), "do not hold the array"),
    "header that wraps": ("t.npy", content(lambda: header((2**63, 2))), "do not hold the array"),
    "negative header": ("t.npy", content(lambda: header((-1, -4))), "an array of shape"),
    "endless header": (
        "t.npy",
        sparse(b"\x93NUMPY\x02\x00" + struct.pack("<L", LARGE)),
        f"a header of {LARGE} bytes",
    ),
    "columns beyond memory": (
        "t.npy",
        sparse(header((1, 10**8)), 1 << 30),
        "columns do not fit in",
    ),
    "a line beyond memory": ("t.csv", sparse(b"a,y\n"), "is longer than 262144 bytes"),
    "it as the names": ("t.csv", sparse(b""), "is longer than 262144 bytes"),
    "it after rows": ("t.csv", sparse(b"a,y\n1,2\n3,4\n5,"), "holds zero bytes"),
    "a bomb": ("t.npz", content(lambda: bomb(declared=1000)), "Bad CRC-32"),
    "many members": (
        "t.npz",
        content(lambda: many_members(30_000)),
        "list of members is too long",
    ),
    "one member many times": (
        "t.npz",
        content(overlapping),
        "another name where it lies",
    ),
    "a FIFO": ("t.csv", os.mkfifo, "not a regular file"),
    "a FIFO as Parquet": ("t.parquet", os.mkfifo, "not a regular file"),
    "a device": ("t.csv", lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "a device as an array": ("t.npy", lambda path: path.symlink_to("/dev/zero"), "not a regular"),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    made = {}

    def make(case):
        if case not in made:
            made[case] = tmp_path_factory.mktemp("case") / FILES[case][0]
            FILES[case][1](made[case])
        return made[case]

    return make


@pytest.mark.parametrize("case", FILES)
def test_a_stream_refuses_it_within_the_memory_allowed(hostile, case):
    path, message = hostile(case), FILES[case][2]
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message) as refused:
            list(Stream(path, "y", memory=MEMORY))
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("case", [case for case in FILES if FILES[case][0] in ("t.csv", "t.npz")])
def test_so_does_reading_a_whole_table(hostile, case):
    with pytest.raises(DataError) as refused:
        load_file(hostile(case), "y")
    assert len(str(refused.value)) < 400


def test_a_table_of_more_than_a_gigabyte_is_refused_before_it_is_read(tmp_path):
    sparse(b"a,y\n1,2\n", (1 << 30) + 1)(tmp_path / "t.csv")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than 1073741824 bytes: read it with a Stream"):
            load_file(tmp_path / "t.csv", "y")
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", FILES)
def test_fit_says_so_in_one_line(hostile, case, tmp_path, capsys):
    path = hostile(case)
    out = tmp_path / "model"
    assert main(["fit", str(path), "--target", "y", "--out", str(out), "--memory", "4"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("funcgrad fit: error: ")
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 500
    assert not list(tmp_path.iterdir())


def test_more_columns_than_their_sums_have_room_for_are_refused(tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(wide(10_000))
    arguments = ["--target", "y", "--out", str(tmp_path / "model")]
    assert main(["fit", str(tmp_path / "t.csv"), *arguments]) == 2
    told = capsys.readouterr().err
    assert "the sums of 9999 features take 12207 MiB: choose some with --features" in told
    assert main(["fit", str(tmp_path / "t.csv"), *arguments, "--features", "c1,c2", "--quiet"]) == 0


def test_twenty_thousand_columns_are_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(wide(20_000))
    ((x, y),) = Stream(path, "y", dtype="float64")
    assert (x.shape, y.tolist()) == ((3, 19_999), [0, 1, 2])


def test_a_message_names_the_first_of_many_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(wide(20_000) + b"\n1,2\n")
    for wrong in (
        lambda: Stream(path, "z"),
        lambda: list(Stream(path, "y")),
        lambda: load_file(path, "y"),
    ):
        with pytest.raises(DataError, match=r"c0, c1, .* \.\.\. y") as refused:
            wrong()
        assert len(str(refused.value)) < 500


@pytest.mark.parametrize("member", ["x", "y"])
def test_a_damaged_member_is_found_before_a_row_of_it_is_used(tmp_path, member):
    path = tmp_path / "t.npz"
    x = np.random.default_rng(0).normal(size=(500, 2))
    np.savez(path, x=x, y=x[:, 0])
    content = bytearray(path.read_bytes())
    at = content.find(f"{member}.npy".encode()) + 3000
    for bit in (0, 6):
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"array '{member}' is damaged: its checksum"):
            next(iter(Stream(path, "y", memory=1 << 14)))
    if member == "y":
        assert len(list(Stream(path, None, features=["x0"], memory=1 << 14))) > 1


PARTITIONS = {
    "a column of its files": (
        {"y=1": "b,y\n1,2\n"},
        "y=1/t.csv: two columns have the same name: y",
    ),
    "twice": ({"a=1/a=2": "b,y\n1,2\n"}, "two of its folders name the partition 'a'"),
    "in one file only": ({"b=1": "a,y\n1,2\n", "a=1": "a,y\n1,2\n"}, "the same name: a"),
    "text": ({"a=Rome": "b,y\n1,2\n"}, "the partition a=Rome is not a number"),
    "missing": ({"a=__HIVE_DEFAULT_PARTITION__": "b,y\n1,2\n"}, "column 'a': the value is missing"),
}


@pytest.mark.parametrize("case", PARTITIONS)
def test_partitions_that_clash_are_refused(tmp_path, case):
    files, message = PARTITIONS[case]
    for folder, text in files.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        list(Stream(tmp_path, "y"))


def test_partitions_are_named_as_hive_writes_them(tmp_path):
    (tmp_path / "a%20b=2%2E5").mkdir()
    (tmp_path / "a%20b=2%2E5" / "t.csv").write_text("y\n1\n2\n")
    ((x, y),) = Stream(tmp_path, "y")
    assert (x.tolist(), y.tolist()) == ([[2.5], [2.5]], [1, 2])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.csv").write_text("a,y\n1,2\n2,4\n3,7\n")
    Path("folder").mkdir()
    Path("folder/1.csv").write_text("a,y\n1,2\n2,4\n3,7\n")
    os.symlink("../good.csv", "folder/2.csv")
    os.symlink("good.csv", "link.csv")
    os.link("good.csv", "hard.csv")
    assert main(["fit", "good.csv", "--target", "y", "--out", "model", "--quiet"]) == 0
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "predict good.csv --model model --out good.csv",
        "predict good.csv --model model --out link.csv",
        "predict good.csv --model model --out hard.csv",
        "predict link.csv --model model --out good.csv",
        "predict folder --model model --out good.csv",
        "predict folder --model model --out folder/1.csv",
        "predict folder --model model --out folder/new.csv",
        "predict good.csv --model model --out model",
        "fit good.csv --target y --out link.csv",
        "fit folder --target y --out good.csv",
        "fit folder --target y --out folder/model",
        "fit good.csv --target y --out new --checkpoint good.csv",
        "fit good.csv --target y --out new --checkpoint new",
        "fit good.csv --target y --out new.previous --checkpoint new",
        "fit good.csv --target y --out new.sums --checkpoint new",
        "fit good.csv --target y --out nowhere.link",
        "fit good.csv --target y --out new --checkpoint /dev/null",
    ],
)
def test_no_command_writes_over_what_it_reads_or_writes(here, capsys, command):
    os.symlink("nothing", "nowhere.link")
    before = {path: path.read_bytes() for path in here.rglob("*.csv")}
    before[here / "model"] = (here / "model").read_bytes()
    names = sorted(here.rglob("*"))
    assert main(command.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"funcgrad {command.split()[0]}: error: ")
    assert told.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(here.rglob("*")) == names


@pytest.mark.parametrize("command", ["predict good.csv --model model", "fit good.csv --target y"])
def test_a_device_stays_a_device_and_a_link_a_link(here, command):
    os.symlink("/dev/null", "null")
    Path("old").write_text("old")
    os.symlink("old", "to-old")
    for out in ("/dev/null", "null", "to-old"):
        assert main([*command.split(), "--out", out]) == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert Path("null").is_symlink()
    assert Path("to-old").is_symlink()
    assert Path("old").read_bytes()[:3] != b"old"
    assert not [path for path in here.iterdir() if "checkpoint" in path.name]


def test_a_planted_link_beside_the_output_is_not_followed(here):
    for name in ("new.partial", "new.checkpoint.partial", "new.checkpoint.sums.partial"):
        os.symlink("victim", name)
    assert main(["fit", "good.csv", "--target", "y", "--out", "new", "--quiet"]) == 0
    assert main(["predict", "good.csv", "--model", "model", "--out", "new"]) == 0
    assert not Path("victim").exists()


# A colour, the same in one character, a title of the window, text turned around, a line taken back.
ESCAPES = ["a\x1b[31m", "a\x9b31m", "a\x1b]0;title\x07", "a\u202eb", "a\u2066b", "a\rb", "a\x08b"]


@pytest.mark.parametrize("name", ESCAPES, ids=ascii)
@pytest.mark.parametrize("target", ["y", "z"])
def test_nothing_that_a_terminal_obeys_is_printed(tmp_path, monkeypatch, capsys, name, target):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(f'"{name}",y\n1,2\n2,4\n3,7\n'.encode())
    status = main(["fit", "t.csv", "--target", target, "--out", "model"])
    printed = "".join(capsys.readouterr())
    assert status == (0 if target == "y" else 2)
    assert name.encode("unicode_escape").decode() in printed
    assert not set(printed) & set("\x1b\x9b\x07\x08\r\u202e\u2066")
