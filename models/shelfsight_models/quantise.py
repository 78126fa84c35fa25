"""Float ONNX → int8 ONNX.

Convolutional nets: static QDQ, u8 activations with a zero point, symmetric s8 weights per output channel. Transformers: dynamic (see
`quantise_dynamic_text`), because static activations cost the text encoder 6 % of cosine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
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
    """Static QDQ of a float graph, calibrated on `rows` `[n, ...]`. `exclude` names node kinds left in f32."""
    options: dict = {"ActivationSymmetric": False, "WeightSymmetric": True}
    if method == "percentile":
        options["CalibPercentile"] = percentile
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True, skip_optimization=True)
        names = [n.name for n in onnx.load(str(prepared)).graph.node if n.op_type in exclude]
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
