"""Runs programs on PyTorch and on the shim until they differ: `python -m tests.against_pytorch.fuzz --programs 100000`.

Seeds are consecutive numbers and make the programs, so a run can be repeated, and split between processes. What is
found is shrunk and printed as Python that `difference` takes; the exit status is 1. `--generator idioms` takes whole
training programs, which also go through `funcgrad.pure`, in place of made-up ones; `--generator statements` takes
statements of public code, one after another.
"""

import argparse
import random
import sys
import time
from collections import Counter

from tests import conftest  # which sets how JAX compiles, so it comes before JAX
from tests.against_pytorch import idioms, statements
from tests.against_pytorch.comparing import difference, skipped, told
from tests.against_pytorch.programs import INSTRUCTIONS, Program
from tests.engine_modes import MODES


def program_of(seed: int, longest: int) -> list[tuple[int, int]]:
    """The program that a seed makes."""
    source = random.Random(seed)
    length = source.randint(1, longest)
    return [(source.randrange(len(INSTRUCTIONS)), source.randrange(10**12)) for _ in range(length)]


def shrunk(program: Program, mode: str, times: int) -> list[tuple[int, int]]:
    """A program as simple as can be found that differs still: instructions left out, then numbers made small."""
    best = list(program)
    progress = True
    while progress:
        progress = False
        candidates = [
            best[:start] + best[start + size :]
            for size in (8, 4, 2, 1)
            for start in range(len(best) - size, -1, -1)
        ]
        candidates += [
            [*best[:k], (kind, smaller), *best[k + 1 :]]
            for k, (kind, number) in enumerate(best)
            for smaller in (0, number // 1000, number // 10, number - 1)
            if 0 <= smaller < number
        ]
        for candidate in candidates:
            if candidate and difference(candidate, mode, times) is not None:
                best, progress = candidate, True
                break
    return best


def main() -> None:
    """Run, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--mode", default="eager", choices=MODES)
    parser.add_argument("--times", type=int, default=2, help="how often each runs on the shim")
    parser.add_argument("--longest", type=int, default=20, help="instructions at most")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many")
    parser.add_argument(
        "--as-found", action="store_true", help="print what differs without shrinking it"
    )
    parser.add_argument(
        "--generator", default="programs", choices=["programs", "idioms", "statements"]
    )
    parser.add_argument(
        "--share", default="1/1", help="k/n: of n processes that share the seeds, the k-th"
    )
    options = parser.parse_args()
    share, shares = map(int, options.share.split("/"))
    conftest.search_seldom_for_garbage()

    start = shown = time.monotonic()
    failures: Counter[str] = Counter()
    done = 0
    for seed in range(options.seed, options.seed + options.programs):
        # Idioms of the same parts are traced once, so they belong to one process.
        number = idioms.Program(seed).number if options.generator == "idioms" else seed
        if number % shares != share - 1:
            continue
        done += 1
        program = program_of(seed, options.longest)
        if options.generator == "idioms":
            found, program = idioms.difference(seed, options.mode, options.times), []
        elif options.generator == "statements":
            found, program = statements.shortest(seed, options.mode), []
        else:
            found = difference(program, options.mode, options.times)
        if found is not None:
            failures["found"] += 1
            if program and not options.as_found:
                program = shrunk(program, options.mode, options.times)
                found = difference(program, options.mode, options.times)
            print(f"seed {seed}: {found}\n{told(program)}", flush=True)
            if failures["found"] >= options.failures:
                break
        if time.monotonic() - shown > 60:
            shown = time.monotonic()
            print(
                f"{done} programs, {done / (shown - start):.0f} a second",
                file=sys.stderr,
                flush=True,
            )
    print(
        f"{done} programs, seeds {options.seed} to {seed}, mode {options.mode}, {options.times} times each: "
        f"{failures['found']} differ, {skipped.total()} known to differ, "
        f"{len(idioms.undecided)} not decidable. {time.monotonic() - start:.0f} s."
    )
    sys.exit(bool(failures["found"]))


if __name__ == "__main__":
    main()
