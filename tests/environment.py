"""The environment of a process that compares: plain compilation, one thread, PyTorch's kernels of one width.

Imported before JAX and PyTorch, which read it once.
"""

import os
import sys
from importlib.metadata import version

# XLA spends nine tenths of a compilation on speed that small arrays have no use for. A test process and those that it
# starts compile plainly; `XLA_FLAGS= pytest` compiles as users' programs are. XLA aborts at a flag that it does not know.
PLAIN = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
JAXLIB = tuple(map(int, version("jaxlib").split(".")[:2]))
KNOWN = (0, 10) <= JAXLIB <= (0, 12)
if JAXLIB == (0, 10):  # 0.12 has it no more
    PLAIN += " --xla_cpu_use_fusion_emitters=false"
if "--benchmark-only" not in sys.argv:
    if KNOWN:
        os.environ.setdefault("XLA_FLAGS", PLAIN)
    # Threads of PyTorch and NumPy spin while they wait, and so take the cores from the other test process.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# PyTorch's and oneDNN's kernels for wider vectors give other numbers at NaN and infinity, and other last digits.
os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

# Compiling writes the Python frames of each operation into the program, a tenth of its time.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

# Nothing that one test process traced is there for another.
os.environ.setdefault("FUNCGRAD_CACHE", "off")
