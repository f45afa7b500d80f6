"""Which rows of a method become int16, and the casts in between.

    guard (float32) -> quantise -> conv -> ... int16 ... -> conv -> float32 rows of the output

Convolutions read int16. The method's input and output stay float32, and so do rows that only
float operations touch (`float_rows_only`); everything else is int16.
"""

from __future__ import annotations

from collections.abc import Collection

from engine.errors import ConfigError
from engine.ops import Q16X8
from export.native.forced import overlaps
from export.native.nodes import CONVS, Node, Program, Root, View, outermost

NUMBERED = ("embed", "keyed_noise")  # what they read is a whole number, whatever its rows hold
PENDING = 1.0  # scale of a root that will hold int16, until its range is known
Key = tuple[tuple[str, ...], ...]


def insert_casts(program: Program, plain: Collection[str] = ()) -> list[Root]:
    """Mark the roots that hold int16 and put quantise and dequantise nodes between. In place.
    Convolutions named in `plain` stay float32, and so do the rows that lead to them alone.

    Returns the marked roots, all outermost. Recurrent layers are an error that names them."""
    for node in program.nodes:
        if Q16X8 not in node.core.dtypes:
            raise ConfigError(
                f"{node.name}: {node.kind} has no q16x8 form; export with --dtype bf16w or float32")
    _number_classes_exactly(program)
    whole = _integer_roots(program, plain)
    for root in whole:
        root.scale = PENDING
    _cast_outputs(program)
    _cast_inputs(program, plain)
    return [root for root in _tops(program) if root.scale]


def _number_classes_exactly(program: Program) -> None:
    """A table, or noise, is read by number: rows of float32, never rounded to the steps that suit
    what was written beside the number. So it reads what the copy in between was made from, and a
    copy that nobody reads any more goes."""
    for node in program.nodes:
        if node.kind in NUMBERED:
            node.inputs = [_uncopied(program, view) for view in node.inputs]
    seen = [program.output, *program.fed, *(v for node in program.nodes for v in node.reads())]
    program.nodes[:] = [node for node in program.nodes if node.kind != "copy"
                        or any(overlaps(view, node.out) for view in seen)]


def _uncopied(program: Program, view: View) -> View:
    """The same rows where they were before a copy put them beside others."""
    top, first = outermost(view.root)
    first += view.first
    for node in program.nodes:
        place, start = outermost(node.out)
        inside = start <= first and first + view.channels <= start + node.out.channels
        if node.kind == "copy" and node.act == "linear" and place is top and inside:
            source = node.inputs[0]
            return _uncopied(program, View(source.root, source.first + first - start,
                                           view.channels, source.delay + view.delay))
    return view


def _tops(program: Program) -> list[Root]:
    """Every outermost root, in the order in which it is first met."""
    roots = [program.input.root]
    for node in program.nodes:
        roots += [*(view.root for view in node.reads()), node.out]
    return list(dict.fromkeys(outermost(root)[0] for root in [*roots, program.output.root]))


def _conv_inputs(program: Program, plain: Collection[str]) -> set[Root]:
    return {outermost(view.root)[0] for node in program.nodes
            if node.kind in CONVS and node.name not in plain for view in node.inputs}


def _integer_roots(program: Program, plain: Collection[str]) -> list[Root]:
    """All roots but: the input; what only float operations write; what an exact one writes or
    reads; and, where no convolution reads it, the output and what a float operation reads."""
    writers: dict[Root, list[Node]] = {}
    float_readers: set[Root] = {outermost(program.output.root)[0]}
    for node in program.nodes:
        writers.setdefault(outermost(node.out)[0], []).append(node)
        if node.core.float_rows_only or node.name in plain:
            float_readers |= {outermost(view.root)[0] for view in node.reads()}
    exact = {outermost(root)[0] for node in program.nodes if node.exact
             for root in (node.out, *(view.root for view in node.reads()))}
    read_by_convs = _conv_inputs(program, plain)
    if plain:
        for node in reversed(program.nodes):  # sums and maps on the way there, too
            top = outermost(node.out)[0]
            if node.kind not in CONVS and top in float_readers - read_by_convs:
                float_readers |= {outermost(view.root)[0] for view in node.reads()}
    return [root for root in _tops(program)
            if root not in exact
            and not all(node.core.float_rows_only for node in writers.get(root, ()))
            and (root in read_by_convs or root not in float_readers)]


def _cast_outputs(program: Program) -> None:
    """What a float-only operation writes into int16 rows, and the method's output."""
    nodes: list[Node] = []
    for node in program.nodes:
        if node.core.float_rows_only:
            _float_inputs(node, nodes)
        nodes.append(node)
        if node.core.float_rows_only and outermost(node.out)[0].scale:
            place = node.out
            node.out = Root(place.channels, place.rows)
            nodes.append(Node("quantise", f"{node.name}/quantise", [_whole(node.out)], place,
                              loop=node.loop))
            if node.kind == "pitch_track":
                _read_exactly(program, place, node.out)
    top = outermost(program.output.root)[0]
    if top.scale:
        out = program.output
        plain = Root(out.channels, top.rows)
        nodes.append(Node("dequantise", "output/dequantise", [out], plain))
        program.output = _whole(plain)
    program.nodes[:] = nodes


def _read_exactly(program: Program, place: Root, exact: Root) -> None:
    """A pitch beside latents has their steps, which may be of some cents: whatever puts it into
    rows of float32 reads it as it was tracked."""
    top, first = outermost(place)
    for node in program.nodes:
        if node.kind in CONVS or outermost(node.out)[0].scale:
            continue
        for index, view in enumerate(node.inputs):
            root, start = outermost(view.root)
            start += view.first - first
            if root is top and start >= 0 and start + view.channels <= exact.channels:
                node.inputs[index] = View(exact, start, view.channels, view.delay)


def _float_inputs(node: Node, nodes: list[Node]) -> None:
    for index, view in enumerate(node.inputs):
        if outermost(view.root)[0].scale:
            plain = Root(view.channels, view.root.rows)
            nodes.append(Node("dequantise", f"{node.name}/dequantise", [view], plain,
                              loop=node.loop))
            node.inputs[index] = _whole(plain)


def _cast_inputs(program: Program, plain: Collection[str]) -> None:
    """Float rows that convolutions read get an int16 copy, made right after their last writer; in
    parts, each after its own, where a convolution reads some before others are written."""
    copies = {root: Root(root.channels, root.rows, scale=PENDING)
              for root in _conv_inputs(program, plain) if not root.scale}
    for root, copy in copies.items():
        writers = [node for node in program.nodes if outermost(node.out)[0] is root]
        if not writers:
            program.nodes.insert(0, Node("quantise", "input/quantise", [_whole(root)], copy))
        elif len(writers) > 1 and _read_in_parts(program, root, writers[-1], plain):
            for node in writers:
                first = outermost(node.out)[1]
                place = Root(node.out.channels, copy.rows, home=copy, offset=first)
                _quantise_after(program, node, View(root, first, node.out.channels), place)
        else:
            _quantise_after(program, writers[-1], _whole(root), copy)
    for node in program.nodes:
        if node.kind in CONVS and node.name not in plain:
            for index, view in enumerate(node.inputs):
                top, first = outermost(view.root)
                if top in copies:
                    node.inputs[index] = View(copies[top], first + view.first, view.channels,
                                              view.delay)


def _read_in_parts(program: Program, root: Root, last: Node, plain: Collection[str]) -> bool:
    """Whether a convolution stands before the last writer of rows that it reads."""
    return any(node.kind in CONVS and node.name not in plain
               and any(outermost(view.root)[0] is root for view in node.inputs)
               for node in program.nodes[: program.nodes.index(last)])


def _quantise_after(program: Program, node: Node, view: View, place: Root) -> None:
    cast = Node("quantise", f"{node.name}/quantise", [view], place, loop=node.loop)
    program.nodes.insert(program.nodes.index(node) + 1, cast)


def _whole(root: Root) -> View:
    return View(root, 0, root.channels)


def root_keys(program: Program) -> dict[Root, Key]:
    """A name for the rows of each outermost root, the same in every method of a model that holds
    them: who writes them, and which convolutions read them. Equal keys share one scale, and so
    methods share their weights."""
    made: dict[Root, list[str]] = {}
    read: dict[Root, list[str]] = {}
    for node in program.nodes:
        made.setdefault(outermost(node.out)[0], []).append(node.name)
        if node.kind in CONVS:
            for view in node.inputs:
                read.setdefault(outermost(view.root)[0], []).append(node.name)
    return {root: (tuple(made.get(root, ())), tuple(read.get(root, ())))
            for root in _tops(program)}
