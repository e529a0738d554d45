"""`torch.utils.tensorboard`: the files hold what PyTorch's hold, event for event."""

import contextlib
import io
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.both_sides import SIDES, attempt, ours

pytest.importorskip("tensorboard", reason="SummaryWriter needs the package tensorboard, as PyTorch's does")  # fmt: skip


def write(torch, folder):
    x = torch.arange(12.0).reshape(3, 4) / 12
    writer_of = import_module(f"{torch.__name__}.utils.tensorboard").SummaryWriter
    with writer_of(folder, purge_step=1) as writer:
        writer.add_scalar("loss", torch.tensor([0.5]), 1, 10.0)
        writer.add_scalar("loss", 2, torch.tensor(3), 10.0, new_style=True)
        writer.add_scalar("loss", np.float64(0.1), 3, 10.0, True, True)
        writer.add_scalars("both/kinds", {"train": 1.0, "test": x[0, 1]}, 2, 10.0)
        for bins in ("tensorflow", "auto", [0.0, 0.4, 1.0]):
            writer.add_histogram("weights", x - 0.3, 1, bins, 10.0)
        writer.add_histogram("few", x.to(torch.bfloat16), 1, 10, 10.0, max_bins=4)
        writer.add_histogram_raw("raw", 0, 1, 2, 1.0, 1.0, [0.5, 1.0], [1, 1], 1, 10.0)
        writer.add_image("grey", x, 1, 10.0, dataformats="HW")
        writer.add_image("bytes", (x * 100).to(torch.uint8).expand(3, 3, 4), 1, 10.0)
        writer.add_images("grid", x.expand(9, 1, 3, 4), 1, 10.0)
        writer.add_audio("sound", x.reshape(-1) - 0.5, 1, 8000, 10.0)
        writer.add_text("note", "*word*", 1, 10.0)
        writer.add_pr_curve("pr", x.reshape(-1) > 0.4, x.reshape(-1), 1, 20, walltime=10.0)
        options = {"lr": 0.1, "name": "a", "deep": True, "left": None, "x": torch.tensor([2.0])}
        writer.add_hparams(options, {"best": 0.5}, {"lr": [0.1, 0.2], "name": ["a", "b"]}, "run")
        writer.add_custom_scalars({"all": {"a": ["Multiline", ["loss"]], "b": ["Margin", ["a", "b", "c"]]}})  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            images = x.expand(3, 1, 3, 4)
            writer.add_embedding(x, ["a", "b", "c"], images, 5, "of/x")
            writer.add_embedding(x, [[1, 2], [3, 4], [5, 6]], metadata_header=["p", "q"])
        failures = [
            attempt(writer.add_scalar, "loss", x),
            attempt(writer.add_histogram, "none", torch.ones(0)),
            attempt(writer.add_image, "wrong", x),
            attempt(writer.add_image, "wrong", x, dataformats="HH"),
            attempt(writer.add_hparams, [], {}),
            attempt(writer.add_hparams, {"a": 1}, {}, {"a": 3}),
            attempt(writer.add_hparams, {"a": [1]}, {}),
            attempt(writer.add_embedding, x, ["a"]),
            attempt(writer.add_histogram_raw, "raw", 0, 1, 2, 1.0, 1.0, [0.5], [1, 1]),
            attempt(writer.add_custom_scalars_marginchart, ["a"]),
            attempt(writer.add_text, "note", x),
        ]
    return [type(each).__name__ for each in failures]


def contents(folder):
    """The summaries of each file of events, without the times, and the other files."""
    loader = import_module("tensorboard.backend.event_processing.event_file_loader")
    found = {}
    for path in sorted(each for each in Path(folder).rglob("*") if each.is_file()):
        place = str(path.relative_to(folder))
        if "tfevents" not in place:
            found[place] = path.read_bytes()
            continue
        events = loader.RawEventFileLoader(str(path)).Load()
        kind = import_module("tensorboard.compat.proto.event_pb2").Event
        seen = found.setdefault(place.split("events.out")[0], [])
        for event in map(kind.FromString, events):
            event.wall_time = 0 if event.wall_time != 10.0 else 10.0
            event.source_metadata.Clear()
            seen.append(str(event))
    return found


def test_files_are_pytorchs(tmp_path):
    pytest.importorskip("PIL", reason="images need pillow")
    folders = tmp_path / "ours", tmp_path / "theirs"
    failures = [write(*each) for each in zip(SIDES, folders, strict=True)]
    assert failures[0] == failures[1]
    mine, expected = map(contents, folders)
    assert list(mine) == list(expected)
    for place in expected:
        assert mine[place] == expected[place], place
    assert sum(map(len, expected.values())) > 30


def test_a_graph_shows_modules_in_the_order_of_their_calls(tmp_path):
    nn = ours.nn
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
    writer_of = import_module("funcgrad.torch.utils.tensorboard").SummaryWriter
    with writer_of(tmp_path) as writer:
        writer.add_graph(model, ours.ones(4, 2))
        with pytest.raises(NotImplementedError, match="add_image"):
            writer.add_mesh("mesh", ours.ones(1, 2, 3))
    (events,) = contents(tmp_path).values()
    (graph,) = [each for each in events if "graph_def" in each]
    kind = import_module("tensorboard.compat.proto.graph_pb2").GraphDef
    given = import_module("google.protobuf.text_format").Parse(
        graph, import_module("tensorboard.compat.proto.event_pb2").Event()
    )
    nodes = [(n.name, n.op, list(n.input)) for n in kind.FromString(given.graph_def).node]
    assert nodes == [
        ("input/0", "IO Node", []),
        ("Sequential/0", "Linear", ["input/0"]),
        ("Sequential/1/0", "ReLU", ["Sequential/0"]),
        ("Sequential/1/1", "Linear", ["Sequential/1/0"]),
        ("output/0", "IO Node", ["Sequential/1/1"]),
    ]
