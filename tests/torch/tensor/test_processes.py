"""Processes that use the shim: spawned, forked before JAX was used, and forked after it, where nothing can be computed."""

import os
import pickle
import subprocess
import sys
import warnings

import pytest

import funcgrad.torch as torch

FORKED = """
import multiprocessing
import funcgrad.torch as torch

def double(k):
    return (torch.ones(2) * k).sum().item()

def attempt(call, *arguments):
    try:
        return call(*arguments).get(60)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    for what in ("nothing", "NumPy", "JAX"):
        if what != "nothing":
            assert double(1) == 2
        if what == "JAX":  # by an op that only XLA computes
            assert torch.ones(2, dtype=torch.float16).exp().sum().item() > 5
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(attempt(pool.map_async, double, [1, 2, 3]))
            if what == "JAX":
                print(attempt(pool.map_async, torch.exp, [torch.zeros(2, requires_grad=True).detach()]))
"""


# A new Python takes a second or two, so there are four in all.
SPAWNED = """
import funcgrad.torch as torch
import funcgrad.torch.multiprocessing as mp

def work(number, queue, function, x):
    queue.put((number, function(x)))

def fail(number):
    if number:
        raise ValueError("no " + str(number))

if __name__ == "__main__":
    assert torch.ones(2, dtype=torch.float16).exp().sum().item() > 5  # XLA computes it
    queue = mp.get_context("spawn").SimpleQueue()
    x = torch.zeros(2, requires_grad=True).detach()
    print(mp.spawn(work, args=(queue, torch.exp, x), nprocs=1))
    print(queue.get())
    try:
        mp.spawn(fail, nprocs=2)
    except mp.ProcessRaisedException as error:
        print(str(error).splitlines()[2], str(error).splitlines()[-1])
"""


def run(tmp_path, text):
    """The lines that a script prints."""
    script = tmp_path / "script.py"
    script.write_text(text)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_spawned_processes_compute_and_pass_errors_on(tmp_path):
    assert run(tmp_path, SPAWNED) == [
        "None",
        "(0, tensor([1., 1.]))",
        "-- Process 1 terminated with the following error: ValueError: no 1",
    ]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_forked_processes_compute_before_jax_was_used_and_then_say_at_once_what_to_do(tmp_path):
    unused, only_numpy, *later = run(tmp_path, FORKED)
    assert unused == only_numpy == "[2.0, 4.0, 6.0]"
    assert len(later) == 2
    for line in later:
        assert line.startswith("RuntimeError: Cannot compute in this process")
        assert "'spawn' start method" in line


@needs_fork
def test_a_forked_process_reads_what_was_computed(recorded):
    computed = torch.ones(1000).cumsum(0)[-1:].clone()
    computed.tolist()
    pending = torch.ones(2) * 2
    reading, writing = os.pipe()
    child = _fork()
    if child == 0:
        said = []
        for look in (computed.item, pending.tolist):
            try:
                said.append(look())
            except RuntimeError as error:
                said.append(str(error)[:31])
        os.write(writing, repr(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        assert answers.read() == "[1000.0, 'Cannot compute in this process:']"
    assert os.waitpid(child, 0)[1] == 0
    assert pending.tolist() == [2.0, 2.0]


def _fork():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python and JAX warn of threads
        return os.fork()


def functions():
    for namespace in (torch, torch.autograd, torch.func, torch.autograd.graph):
        for name in dir(namespace):
            thing = getattr(namespace, name)
            if not name.startswith("_") and callable(thing):
                yield thing


def test_functions_methods_and_classes_pickle():
    things = [*functions()]  # first, since it loads `torch.nested`, which puts other methods in
    methods = [m for name in vars(torch.Tensor) if callable(m := getattr(torch.Tensor, name))]
    things += [m for m in methods if not m.__name__.startswith("_")]
    assert len(things) > 400
    for thing in [*things, torch.Tensor.__add__, torch.Tensor.__iadd__, torch.Tensor.__neg__]:
        assert pickle.loads(pickle.dumps(thing)) is thing
