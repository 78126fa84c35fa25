"""Torch → ONNX: a clean graph at opset 17 with explicit pads, readable by tract, ONNX Runtime and our
compiler.
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import helper, numpy_helper
from torch import nn

OPSET = 17


def export_onnx(
    model: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    path: Path,
    input_names: list[str],
    output_names: list[str],
    dynamic_axes: dict[str, dict[int, str]] | None = None,
    opset: int = OPSET,
    fold: bool = True,
) -> None:
    """Exports `model` in eval mode, then tidies the graph (see `tidy`) and checks it. Folding makes a `Gemm`
    of a product of fixed shape, which `quantise_dynamic_text` does not look for: such graphs go without.
    """
    model = model.eval()
    options = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:  # torch ≥ 2.5
        options["dynamo"] = False
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer and constant-folding chatter
        torch.onnx.export(
            model,
            inputs,
            str(path),
            opset_version=opset,
            input_names=input_names,
            output_names=output_names,
            dynamic_axes=dynamic_axes,
            do_constant_folding=True,
            **options,
        )
    graph = tidy(_fold_constants(path) if fold else onnx.load(str(path)))
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _fold_constants(path: Path) -> onnx.ModelProto:
    """ONNX Runtime's basic, still standard-operator optimisation: folds what the exporter left as
    arithmetic.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        options.log_severity_level = 3
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    return model


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Moves constant pads into the convolutions, names nodes by kind and number, drops exporter leftovers."""
    graph = model.graph
    _constants_to_initializers(graph)
    _fuse_pads(graph)
    _drop_unused(graph)
    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{i}"
        node.ClearField("doc_string")
        for attribute in [a for a in node.attribute if a.name == "auto_pad"]:
            node.attribute.remove(attribute)
    del graph.value_info[:]
    del model.metadata_props[:]
    graph.name = "shelfsight"
    model.producer_name, model.producer_version = "shelfsight-models", ""
    model.ir_version = min(model.ir_version, 8)
    return model


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _fuse_pads(graph: onnx.GraphProto) -> None:
    """`Pad(zero) → Conv` becomes `Conv` with asymmetric `pads`."""
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    pads: dict[str, tuple[str, np.ndarray]] = {}
    for node in graph.node:
        if node.op_type == "Pad" and node.input[1] in values:
            amounts = values[node.input[1]]
            fill = values.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.float32(0)
            outer = amounts.reshape(2, -1)[:, :2] if amounts.size == 8 else None
            if outer is not None and not outer.any() and fill is not None and float(np.ravel(fill)[0]) == 0:
                pads[node.output[0]] = (node.input[0], amounts.reshape(2, -1)[:, 2:].ravel())
    users: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    for node in graph.node:
        if node.op_type == "Conv" and node.input[0] in pads and users[node.input[0]] == 1:
            source, amounts = pads[node.input[0]]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            attributes["pads"] = [
                int(a + b) for a, b in zip(attributes.get("pads", [0] * 4), amounts, strict=True)
            ]
            attributes.pop("auto_pad", None)
            del node.attribute[:]
            node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
            node.input[0] = source


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Removes nodes and initializers that reach no output."""
    wanted = {o.name for o in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted.update(name for name in node.input if name)
    kept.reverse()
    del graph.node[:]
    graph.node.extend(kept)
    tensors = [t for t in graph.initializer if t.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
