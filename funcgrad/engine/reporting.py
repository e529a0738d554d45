"""The engine's work, told: counts since they were reset, and the last run in words."""

from dataclasses import fields, replace

from funcgrad.display import Text
from funcgrad.engine import programs
from funcgrad.engine.counters import Stats, counters
from funcgrad.engine.recording import local

_baseline = Stats()


def stats() -> Stats:
    """The counts of the engine's work since `reset_stats()`, or since the process began.

    >>> from funcgrad import engine
    >>> engine.stats().pending_ops >= 0
    True
    """
    since = Stats(*(getattr(counters, f.name) - getattr(_baseline, f.name) for f in fields(Stats)))
    since.cache_hits = since.runs - since.runs_op_by_op - since.programs_compiled
    since.pending_ops = sum(state.op is not None for state, _ in local.recorder.trace.log)
    return since


def reset_stats() -> None:
    """Start counting anew."""
    global _baseline
    _baseline = replace(counters)


def explain() -> Text:
    """The last run in words: why it ran, whether it was compiled and why, its ops and its results."""
    if programs.last is None:
        return Text("Nothing has run yet.")
    program, reason, how, why = programs.last
    states = program.state.lineage()
    wanted = set(program.wanted)
    lines = [
        f"Ran because {reason}: {len(program.steps)} ops, {len(program.inputs)} inputs, {len(wanted)} results wanted.",
        f"It ran {how}, because {why}.",
    ]
    skipped = sum(state.op is not None for state in states) - len(program.steps)
    if skipped:
        lines.append(f"{skipped} recorded ops were left out: nobody holds what they would give.")
    lines += [f"  %{p} = input {states[p].aval!r}" for p in sorted(program.inputs)]
    for state, _ in program.steps:
        made = programs.made_at(state)
        given = ", ".join(f"%{p}" for p in made)
        taken = ", ".join(f"%{p}" for p in state.args)
        kept = (
            " (wanted)"
            if wanted.intersection(made)
            else " (fused away)"
            if not how.startswith("op by op")
            else ""
        )
        lines.append(f"  {given} = {state.op.name}({taken}) {state.aval!r}{kept}")
    return Text("\n".join(lines))
