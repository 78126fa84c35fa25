"""Float ONNX → int8 ONNX.

Convolutional nets: static QDQ, u8 activations with a zero point, symmetric s8 weights per output channel.
Transformers: dynamic (see `quantise_dynamic_text`), because static activations cost the text encoder 6 % of
cosine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


def below_gemm(source: Path) -> tuple[str, ...]:
    """Names of the nodes that scale and join what comes out of a `Gemm`: these stay f32."""
    names, below = [], set()
    for node in onnx.load(str(source)).graph.node:  # in the order of evaluation
        if node.op_type == "Gemm":
            below.update(node.output)
        elif below & set(node.input):
            below.update(node.output)
            names.append(node.name)
    return tuple(names)


class ArrayReader(CalibrationDataReader):
    """Feeds the rows of an array `[n, ...]` one at a time as `{name: [1, ...]}`."""

    def __init__(self, name: str, rows: np.ndarray):
        self._rows = iter([{name: row[None]} for row in rows])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


def quantise_static(
    source: Path,
    target: Path,
    input_name: str,
    rows: np.ndarray,
    method: str = "minmax",
    percentile: float = 99.999,
    exclude: tuple[str, ...] = (),
) -> None:
    """Static QDQ of a float graph, calibrated on `rows` `[n, ...]`. `exclude` names kinds of
    nodes, or single nodes, left in f32."""
    # The last layer's sum leaves in f32: rounding it to 8 bits again would only lose accuracy.
    options: dict = {
        "ActivationSymmetric": False,
        "WeightSymmetric": True,
        "OpTypesToExcludeOutputQuantization": ["Gemm"],
    }
    if method == "percentile":
        options["CalibPercentile"] = percentile
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True, skip_optimization=True)
        names = [
            n.name for n in onnx.load(str(prepared)).graph.node if n.op_type in exclude or n.name in exclude
        ]
        quantize_static(
            str(prepared),
            str(target),
            ArrayReader(input_name, rows),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
            nodes_to_exclude=names,
            extra_options=options,
        )
    model = onnx.load(str(target))
    model.producer_name, model.producer_version = "shelfsight-models", ""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def quantise_dynamic_text(source: Path, target: Path) -> None:
    """Float transformer → int8 weights, activations quantised as they come.

    Each `MatMul` with a constant right side becomes DynamicQuantizeLinear → MatMulInteger → scale, one
    weight scale per output column; each big `Gather` table becomes i8 with one scale per row. Attention
    products, softmax, LayerNorm and GELU stay f32. Only standard operators, so every ONNX reader with
    MatMulInteger runs it.
    """
    model = onnx.load(str(source))
    graph = model.graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes, fresh, gone = [], [], set()
    quantised: dict[str, str] = {}

    def constant(name: str, array: np.ndarray) -> str:
        fresh.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(kind: str, inputs: list[str], outputs: list[str], **attributes) -> None:
        nodes.append(helper.make_node(kind, inputs, outputs, name=f"{kind}_q{len(nodes)}", **attributes))

    zero = constant("weight_zero", np.array(0, np.int8))
    for node in graph.node:
        weight = values.get(node.input[1]) if node.op_type == "MatMul" else None
        table = values.get(node.input[0]) if node.op_type == "Gather" else None
        out = node.output[0]
        if weight is not None and weight.ndim == 2:
            q, scale = _symmetric(weight, axis=0)
            x = node.input[0]
            if x not in quantised:
                quantised[x] = x + "_u8"
                emit("DynamicQuantizeLinear", [x], [x + "_u8", x + "_scale", x + "_zero"])
            gone.add(node.input[1])
            constant(out + "_w", q)
            constant(out + "_ws", scale)
            emit("MatMulInteger", [x + "_u8", out + "_w", x + "_zero", zero], [out + "_i32"])
            emit("Cast", [out + "_i32"], [out + "_f"], to=TensorProto.FLOAT)
            emit("Mul", [x + "_scale", out + "_ws"], [out + "_s"])
            emit("Mul", [out + "_f", out + "_s"], [out])
        elif table is not None and table.ndim == 2 and table.dtype == np.float32 and len(table) > 256:
            q, scale = _symmetric(table, axis=1)
            gone.add(node.input[0])
            constant(out + "_table", q)
            constant(out + "_ts", scale[:, None])
            emit("Gather", [out + "_table", node.input[1]], [out + "_i8"], axis=0)
            emit("Cast", [out + "_i8"], [out + "_f"], to=TensorProto.FLOAT)
            emit("Gather", [out + "_ts", node.input[1]], [out + "_s"], axis=0)
            emit("Mul", [out + "_f", out + "_s"], [out])
        else:
            nodes.append(node)
    still_used = {name for node in nodes for name in node.input}
    tensors = [t for t in graph.initializer if t.name not in gone or t.name in still_used]
    del graph.initializer[:]
    graph.initializer.extend(tensors + fresh)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def _symmetric(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """s8 values and f32 scales, the largest magnitude along `axis` at 127."""
    scale = np.abs(values).max(axis) / 127
    scale[scale == 0] = 1.0
    q = np.rint(values / np.expand_dims(scale, axis))
    return np.clip(q, -127, 127).astype(np.int8), scale.astype(np.float32)
