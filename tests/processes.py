"""Programs in processes of their own, forked from one that has loaded JAX and has started none of its backends.

A new Python takes a second of processor time until JAX and the package are loaded, a fork hardly any. Tests of how the
package is loaded, and of how Python ends, start Python itself.
"""

import atexit
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from pathlib import Path

import jax

ROOT = Path(__file__).parents[1]
# Windows has no forks, and there each process loads all anew.
FORKS = "forkserver" in multiprocessing.get_all_start_methods()
CONTEXT = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    CONTEXT.set_forkserver_preload(["funcgrad.cli", "funcgrad.training", "optax", "jax.numpy"])


class Program:
    """Python with these arguments, `-m module`, `-c code` or a script's path first, in a process and session of its own.

    Its methods are those of `subprocess.Popen`.
    """

    def __init__(self, *arguments: object, strict: bool = False, **environment: str) -> None:
        printed = tempfile.mkdtemp()
        self._printed = [Path(printed, name) for name in ("out", "err")]
        for path in self._printed:
            path.touch()
        weakref.finalize(self, shutil.rmtree, printed, ignore_errors=True)
        given = [*map(str, arguments)], strict, os.environ | environment, os.getcwd(), self._printed
        self._process = CONTEXT.Process(target=_run, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid
        self.kill, self.terminate = self._process.kill, self._process.terminate

    @property
    def returncode(self) -> int | None:
        """The status it ended with, a negative signal where one ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the status, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the status once it has ended.

        Raises:
            subprocess.TimeoutExpired: if it still runs after so many seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("the program", timeout)
        return self.returncode

    def wait_for(self, text: str) -> None:
        """Return once it has printed a text; fail where it ends before."""
        while text not in self._printed[0].read_text():
            assert self.poll() is None, self.communicate()
            time.sleep(0.002)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it printed on its output and for errors, once it has ended; else as `wait`."""
        self.wait(timeout)
        out, err = (path.read_text() for path in self._printed)
        return out, err


def output_of(*arguments: object, devices: int = 1, **environment: str) -> str:
    """Return the output of a program for which a CPU is so many devices: JAX counts them once in a process.

    Warnings are errors in the program, and where it fails the test does.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    program = Program(*arguments, strict=True, **environment)
    out, err = program.communicate(timeout=600)
    assert program.returncode == 0, err
    return out


def _run(arguments, strict, environment, folder, printed):
    if FORKS:
        os.setsid()
    for path, stream in zip(printed, (1, 2), strict=True):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # JAX has read its part of the environment, all but XLA's flags.
    jax.config.update("jax_platforms", environment.get("JAX_PLATFORMS"))
    sys.path.insert(0, str(ROOT))
    if strict:
        warnings.simplefilter("error")
    try:
        match arguments:
            case ["-c", code, *options]:
                sys.argv = ["-c", *options]
                exec(code, {"__name__": "__main__"})
            case ["-m", module, *options]:
                sys.argv = [module, *options]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [script, *options]:
                sys.argv = [script, *options]
                sys.path.insert(0, str(Path(script).parent))
                runpy.run_path(script, run_name="__main__")
    finally:
        # A process of `multiprocessing` does not call them, and JAX leaves a group of processes in one of them.
        atexit._run_exitfuncs()
