"""`funcgrad draw loss.py:loss --inputs data.npz --out loss.svg`: the graph of a function, as a picture or as text."""

import argparse

from funcgrad.cli.common import Commands, printable, refuse


def add_command(commands: Commands) -> None:
    """Add `draw` to the command line."""
    parser = commands.add_parser(
        "draw",
        help="draw the graph of a function of yours: the recorded one of tensors, or the jaxpr",
        description=(
            "Draws the computation of a function. One that is written with PyTorch or with "
            "funcgrad.torch is called with tensors that require grad, and the recorded graph is drawn; "
            "of one that is written with JAX, the jaxpr. Two functions are drawn side by side."
        ),
    )
    parser.set_defaults(run=_draw)
    parser.add_argument("functions", nargs="+", metavar="FILE.py:NAME", help="one function or two")
    parser.add_argument(
        "--inputs",
        required=True,
        metavar="FILE",
        help="their arguments: a .npz file, or FILE.py:NAME, a function that returns them",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="a file that ends with .svg, .dot or .mmd (Mermaid); without one, DOT is printed",
    )


def _draw(options: argparse.Namespace) -> int:
    # Imported here, so that --help and a mistyped option need not wait for JAX.
    from funcgrad.cli.functions import load_function, load_inputs
    from funcgrad.compare import OptionError
    from funcgrad.compare.graphs import draw_with

    try:
        drawing = None
        for each in options.functions:
            function = load_function(each)
            more = draw_with(function, load_inputs(options.inputs, function))
            drawing = more if drawing is None else drawing.beside(more)
        assert drawing is not None, "argparse asks for one function at least"
        if options.out is None:
            print(printable(drawing.dot()))
        else:
            drawing.save(options.out)
            print(f"saved to {options.out}")
    except OptionError as error:
        return refuse("draw", error)
    return 0
