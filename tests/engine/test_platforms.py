"""JAX is asked for its default device only where another than the CPU may be there. And NumPy's threads are the user's choice."""

import sys

import jax
import pytest

import funcgrad.torch
from funcgrad.engine import platforms
from tests.processes import Program

STEP = """
import funcgrad.torch as torch
from jax._src import xla_bridge
x, y, w = torch.rand(3, 2), torch.rand(3), torch.rand(2, requires_grad=True)
for _ in range(3):
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
    w.grad = None
loss.item()
print(xla_bridge.backends_are_initialized())
"""


@pytest.fixture
def nothing_installed(monkeypatch):
    """No plugin, no TPU, and nothing that JAX was told."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(platforms, "find_spec", lambda name: None)
    monkeypatch.setattr(platforms.Path, "glob", lambda self, pattern: [])
    for name in ("TPU_LIBRARY_PATH", "PJRT_NAMES_AND_LIBRARY_PATHS"):
        monkeypatch.delenv(name, raising=False)
    forget = platforms.others_possible.cache_clear
    forget()
    yield monkeypatch
    forget()


def installed_package(path, name, text):
    package = path / f"{name}-1.0.dist-info"
    package.mkdir()
    (package / "entry_points.txt").write_text(text)


def test_nothing_else_is_possible_where_nothing_else_is_installed(nothing_installed, tmp_path):
    installed_package(tmp_path, "tool", "[console_scripts]\ntool = tool:main\n")
    nothing_installed.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    assert not platforms.others_possible()


@pytest.mark.parametrize("sign", ["entry point", "jax_plugins", "libtpu", "TPU_LIBRARY_PATH"])
def test_every_sign_of_another_device_counts(nothing_installed, tmp_path, sign):
    if sign == "entry point":
        installed_package(tmp_path, "plugin", "[jax_plugins]\nplugin = plugin\n")
        nothing_installed.setattr(sys, "path", ["missing", str(tmp_path)])
    elif sign.isupper():
        nothing_installed.setenv(sign, "/somewhere")
    else:
        found = {sign: object()}
        nothing_installed.setattr(platforms, "find_spec", found.get)
    assert platforms.others_possible()


@pytest.mark.parametrize("sign", ["initialized", "chosen", "possible", None])
def test_jax_is_asked_where_another_device_may_be_there(nothing_installed, sign):
    nothing_installed.setattr(jax, "default_backend", lambda: "gpu")
    nothing_installed.setattr(
        platforms.xla_bridge, "backends_are_initialized", lambda: sign == "initialized"
    )
    nothing_installed.setattr(platforms, "_chosen", lambda: sign == "chosen")
    nothing_installed.setattr(platforms, "others_possible", lambda: sign == "possible")
    assert platforms.on_cpu() == (sign is None)


@pytest.mark.parametrize(
    ("name", "value", "chosen"),
    [("jax_platforms", "cpu", False), ("jax_platforms", "cuda,cpu", True), ("jax_platform_name", "gpu", True)],
)  # fmt: skip
def test_a_platform_that_was_chosen_counts(name, value, chosen):
    before = jax.config.values[name]
    assert before in (None, "", "cpu")
    try:
        jax.config.update(name, value)
        assert platforms._chosen() == chosen
    finally:
        jax.config.update(name, before)
    assert not platforms._chosen()


@pytest.mark.skipif(platforms.others_possible(), reason="another device may be there")
def test_a_small_training_loop_starts_no_backend_of_jax():
    printed, told = Program("-c", STEP).communicate(timeout=600)
    assert printed == "False\n", told


def test_products_of_matrices_take_as_many_threads_as_torch_is_told():
    pools = pytest.importorskip(
        "threadpoolctl", reason="it tells how many threads NumPy's library has"
    )
    numpys = pools.ThreadpoolController().select(filepath=numpys_library(pools)).lib_controllers
    if not numpys:
        pytest.skip("NumPy has another library than OpenBLAS")
    before = funcgrad.torch.get_num_threads()
    try:
        for number in (2, 1):
            funcgrad.torch.set_num_threads(number)
            assert numpys[0].num_threads == funcgrad.torch.get_num_threads() == number
    finally:
        funcgrad.torch.set_num_threads(before)


def numpys_library(pools):
    """The path of the OpenBLAS that NumPy brought: SciPy brings one of its own."""
    found = [each["filepath"] for each in pools.threadpool_info() if "openblas" in each["filepath"]]
    return [each for each in found if "numpy" in each]
