"""draw shows a recorded graph and a jaxpr: every op, input and saved tensor, as DOT, as Mermaid and as SVG."""

import importlib.util
import xml.etree.ElementTree as ET

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad.torch as shim
from funcgrad.compare import OptionError, draw
from funcgrad.compare.drawings import INPUT, RESULT, positions
from funcgrad.compare.graphs import draw_loss
from tests.both_sides import SIDES

needs_layout = pytest.mark.skipif(
    importlib.util.find_spec("fast_sugiyama") is None, reason="the layout library is not installed"
)


def lesson(torch):
    torch.manual_seed(0)
    x, y_true = torch.rand(2, 2), torch.rand(2)
    w = torch.rand(2, requires_grad=True)
    loss = ((x @ w - y_true) ** 2).mean()
    return w, x, loss


def loss_of(w, x, y_true):
    return ((x @ w - y_true) ** 2).mean()


ARGUMENTS = np.ones(2, np.float32), np.ones((2, 2), np.float32), np.ones(2, np.float32)


def labels(drawing, panel=0):
    return [box.label for box in drawing.panels[panel].boxes]


@pytest.mark.parametrize("torch", SIDES)
def test_the_lessons_loss_shows_its_nodes_its_leaf_and_its_saved_tensors(torch):
    w, x, loss = lesson(torch)
    (panel,) = draw(loss, w=w, x=x).panels
    assert panel.title == "loss"
    assert [box.label for box in panel.boxes] == ["MeanBackward0", "PowBackward0", "SubBackward0", "MvBackward0", "w"]  # fmt: skip
    assert set(panel.arrows) == {(1, 0), (2, 1), (3, 2), (4, 3)}
    assert panel.boxes[0].kind == RESULT
    assert panel.boxes[4].kind == INPUT
    assert panel.boxes[4].details == ("[2]",)
    assert panel.boxes[3].details == ("saved self [2, 2] = x",)
    assert draw(loss.grad_fn).panels[0].boxes == panel.boxes


@pytest.mark.parametrize("torch", SIDES)
def test_a_function_of_tensors_is_called_and_its_arguments_name_the_leaves(torch):
    def loss(weights, data):
        return (data @ weights).sum()

    drawing = draw(loss, torch.ones(2, requires_grad=True), torch.ones(3, 2))
    assert labels(drawing)[-1] == "weights"
    assert draw(loss(w := torch.ones(2, requires_grad=True), torch.ones(3, 2)), theta=w).panels[0].boxes[-1].label == "theta"  # fmt: skip


@pytest.mark.parametrize("torch", SIDES)
def test_a_tensor_used_twice_is_one_box(torch):
    w = torch.ones(2, requires_grad=True)
    drawing = draw((w * w).sum())
    assert labels(drawing).count("w") == 1
    assert drawing.panels[0].arrows.count((2, 1)) == 2


@pytest.mark.parametrize("torch", SIDES)
def test_freed_tensors_are_told(torch):
    w = torch.ones(2, requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    assert any("freed" in " ".join(box.details) for box in draw(loss).panels[0].boxes)


def test_a_jaxpr_is_opened_and_names_its_inputs():
    @jax.jit
    def hidden(x):
        return jax.nn.relu(jnp.tanh(x))

    def net(w, x):
        return hidden(x @ w).sum()

    (panel,) = draw(net, *ARGUMENTS[:2]).panels
    assert [box.label for box in panel.boxes] == ["w", "x", "dot_general", "tanh", "max 0.0", "reduce_sum"]  # fmt: skip
    assert [box.kind for box in panel.boxes] == [INPUT, INPUT, "op", "op", "op", RESULT]
    assert set(panel.arrows) == {(0, 2), (1, 2), (2, 3), (3, 4), (4, 5)}


def test_a_steps_loss_is_drawn_without_its_update():
    def shim_step(w, batch):
        x, y = batch
        loss = shim.tanh(x @ w - y).mean()
        loss.backward()
        with shim.no_grad():
            w -= 0.1 * w.grad
        return w, loss

    def jax_step(w, batch):
        x, y = batch
        loss, gradient = jax.value_and_grad(lambda w: jnp.tanh(x @ w - y).mean())(w)
        return w - 0.1 * gradient, loss

    given = ARGUMENTS[0], ARGUMENTS[1:]
    both = draw_loss(shim_step, given).beside(draw_loss(jax_step, given))
    assert labels(both) == ["MeanBackward0", "TanhBackward0", "SubBackward0", "MvBackward0", "w"]
    assert labels(both, 1) == ["w", "batch[0]", "batch[1]", "dot_general", "sub", "tanh", "reduce_sum", "div 2.0"]  # fmt: skip
    assert [box.kind for box in both.panels[1].boxes].index(RESULT) == 7


def test_side_by_side_the_same_ops_have_one_colour():
    _, _, loss = lesson(shim)
    both = draw(loss).beside(draw(loss_of, *ARGUMENTS))
    colours = [{box.label: box.colour for box in panel.boxes} for panel in both.panels]
    for recorded, traced in (
        ("MvBackward0", "dot_general"),
        ("SubBackward0", "sub"),
        ("PowBackward0", "integer_pow"),
        ("MeanBackward0", "reduce_sum"),
    ):
        assert colours[0][recorded] == next(c for name, c in colours[1].items() if name.startswith(traced))  # fmt: skip


def test_dot_and_mermaid_hold_every_box_and_arrow():
    drawing = draw(loss_of, *ARGUMENTS)
    (panel,) = drawing.panels
    for text, arrow in ((drawing.dot(), "->"), (drawing.mermaid(), "-->")):
        assert text.count(arrow) == len(panel.arrows)
        assert all(box.label in text for box in panel.boxes)
    assert drawing.mermaid().startswith("flowchart TD")


@needs_layout
def test_svg_is_well_formed_and_boxes_do_not_overlap():
    _, _, loss = lesson(shim)
    drawing = draw(loss).beside(draw(loss_of, *ARGUMENTS))
    root = ET.fromstring(drawing.svg())
    width, height = float(root.get("width")), float(root.get("height"))
    text = " ".join(root.itertext())
    for panel in drawing.panels:
        assert all(box.label in text for box in panel.boxes)
        middles = positions(panel)
        assert len(set(middles)) == len(panel.boxes)
        for a, b in panel.arrows:
            assert middles[a][1] < middles[b][1]  # arrows lead down
    name = "{http://www.w3.org/2000/svg}"
    for group in root.iter(f"{name}g"):
        shift = float(group.get("transform").split("(")[1].split(" ")[0])
        rects = [
            tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
            for rect in group.iter(f"{name}rect")
        ]
        for k, (x, y, w, h) in enumerate(rects):
            assert x + shift >= 0
            assert x + shift + w <= width
            assert y >= 0
            assert y + h <= height
            for x2, y2, w2, h2 in rects[:k]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    assert drawing._repr_svg_() == drawing.svg()


def test_files_are_written_as_their_names_say(tmp_path):
    drawing = draw(loss_of, *ARGUMENTS)
    drawing.save(tmp_path / "loss.dot")
    assert (tmp_path / "loss.dot").read_text() == f"{drawing.dot()}\n"
    with pytest.raises(OptionError, match="a drawing is written as"):
        drawing.save(tmp_path / "loss.bmp")


def test_without_the_layout_library_the_text_forms_are_named(monkeypatch):
    monkeypatch.setattr("funcgrad.compare.drawings.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"funcgrad\[report\].*mermaid"):
        draw(loss_of, *ARGUMENTS).svg()


def many_ops(x):
    for _ in range(500):
        x = jnp.sin(x)
    return x


@pytest.mark.parametrize(
    ("thing", "args", "words"),
    [
        (3, (), "a tensor, a graph node or a function is drawn, not 3"),
        (shim.ones(2), (), "nothing was recorded"),
        (many_ops, (1.0,), "too many to read"),
    ],
)
def test_what_cannot_be_drawn_is_refused(thing, args, words):
    with pytest.raises(OptionError, match=words):
        draw(thing, *args)
