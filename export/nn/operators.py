"""The operators that a file for nn~ may use.

Official builds of nn~ carry LibTorch 2.5.1. Every entry below stands in the operator registry of
that very library, dumped from it, under this name, this overload and this number of arguments; a
newer PyTorch that adds an argument or prefers a new operator is noticed at export, not in Max. All
run on CPU, CUDA and Metal and need no MKL-DNN. To add one, look it up in that registry first
(`torch::jit::getAllOperators()` in a program linked with LibTorch 2.5.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.errors import ConfigError
from export.nn.internals import internal

OPERATORS = frozenset("""
aten::Float.Scalar/1 aten::Int.Scalar/1 aten::__and__.Scalar/2 aten::__and__.bool/2
aten::__getitem__.t/2 aten::__not__/1 aten::__or__.Tensor/2 aten::__xor__.Tensor/2
aten::_convolution/13 aten::_set_item.t/3 aten::abs/1 aten::add.Scalar/3 aten::add.Tensor/3
aten::add.int/2 aten::add.str/2 aten::addmm/5 aten::arange/5 aten::bmm/2 aten::cat/2 aten::chunk/3
aten::clamp/3 aten::clamp_min/2 aten::clone/2 aten::constant_pad_nd/3 aten::contiguous/2
aten::copy_/3 aten::cos/1 aten::cumsum/3 aten::detach/1 aten::div.Scalar_mode/3 aten::div.Tensor/2
aten::div.Tensor_mode/3 aten::elu/4 aten::embedding/5 aten::eq.Tensor/2 aten::exp/1 aten::expand/3
aten::fill_.Scalar/2 aten::flatten.using_ints/3 aten::flip/2 aten::gather/4 aten::ge.Scalar/2
aten::ge.Tensor/2 aten::ge.float/2 aten::gru.input/9 aten::gt.Scalar/2 aten::gt.int/2 aten::item/1
aten::le.Scalar/2 aten::le.Tensor/2 aten::le.float/2 aten::leaky_relu/2 aten::len.t/1 aten::linear/3
aten::log/1 aten::lstm.input/9 aten::lt.Scalar/2 aten::lt.Tensor/2 aten::lt.int/2 aten::matmul/2
aten::max.dim/3 aten::maximum/2 aten::mean.dim/4 aten::min.dim/3 aten::minimum/2 aten::mul.Scalar/2
aten::mul.Tensor/2 aten::ne.int/2 aten::neg/1 aten::ones_like/6 aten::pad/4 aten::permute/2
aten::pow.Tensor_Scalar/2 aten::relu/1 aten::remainder.Scalar/2 aten::remainder.int/2
aten::reshape/2 aten::round/1 aten::rsub.Scalar/3 aten::select.int/3 aten::set_.source_Tensor/2
aten::sigmoid/1 aten::sin/1 aten::size.int/2 aten::size/1 aten::slice.Tensor/5 aten::softmax.int/3
aten::softplus/3 aten::sort/3 aten::sqrt/1 aten::square/1 aten::squeeze.dim/2 aten::stack/2
aten::str/1 aten::sub.Scalar/3 aten::sub.Tensor/3 aten::sub.int/2 aten::sum.dim_IntList/4
aten::tanh/1 aten::tensor/4 aten::to.dtype/5 aten::transpose.int/3 aten::unflatten.int/3
aten::unfold/4 aten::unsqueeze/2 aten::view/2 aten::where.self/3 aten::zero_/1 aten::zeros/5
aten::zeros_like/6 prim::Constant prim::GetAttr prim::If prim::ListConstruct prim::ListUnpack
prim::Loop prim::RaiseException/2 prim::TupleConstruct prim::TupleUnpack prim::Uninitialized/0
prim::device/1 prim::tolist
""".split())  # noqa: SIM905 - a list literal would be six times as long


def operators(graph: Any) -> Iterator[str]:
    """`name.overload/arguments` of every operation of a graph, blocks of loops included."""
    waiting = list(graph.nodes())
    while waiting:
        node = waiting.pop()
        for block in node.blocks():
            waiting += block.nodes()
        schema = node.schema()
        if schema == "(no schema)":
            yield node.kind()
        elif "..." in schema:
            yield schema.partition("(")[0]
        else:
            count = len(internal("parse_schema")(schema).arguments)
            yield f"{schema.partition('(')[0]}/{count}"


def check_operators(module: Any, name: str) -> None:
    """Refuse a scripted module that official builds of nn~ could not load."""
    for method in module._c._method_names():
        foreign = sorted(set(operators(module._c._get_method(method).inlined_graph)) - OPERATORS)
        if foreign:
            raise ConfigError(
                f"{name}.{method} uses {', '.join(foreign)}, which official builds of nn~ "
                "(LibTorch 2.5.1) are not known to have; see export/nn/operators.py"
            )
