"""Export, quantisation and parity on small nets."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from shelfsight_models.export import export_onnx
from shelfsight_models.networks import TINY_STAGES, Backbone, ImageEncoder
from shelfsight_models.parity import compare
from shelfsight_models.quantise import below_gemm, quantise_dynamic_text, quantise_static
from shelfsight_models.text import TextEncoder, TextShape, TextTower


def run(path, feeds):
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)[0]


@pytest.fixture(scope="module")
def image_graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    torch.manual_seed(0)
    encoder = ImageEncoder(16, 4, 0.7, Backbone(TINY_STAGES, stem=8, head=32, tap=3)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():  # no two biases alike, or the exporter merges them
            parameter.add_(torch.randn_like(parameter) * 0.02)
    rows = np.random.default_rng(0).uniform(-1, 1, (24, 3, 64, 64)).astype(np.float32)
    rows = rows * np.linspace(0.2, 1, 24, dtype=np.float32)[:, None, None, None]
    with torch.no_grad():
        wanted = encoder(torch.from_numpy(rows)).numpy()
    encoder.fold()
    axes = {"image": {0: "batch"}, "embedding": {0: "batch"}}
    plain, small = folder / "plain.onnx", folder / "small.onnx"
    export_onnx(encoder, (torch.zeros(1, 3, 64, 64),), plain, ["image"], ["embedding"], axes)
    quantise_static(plain, small, "image", rows, exclude=below_gemm(plain))
    return plain, small, rows, wanted


def test_export_equals_torch_and_has_explicit_pads(image_graphs):
    plain, _, rows, wanted = image_graphs
    assert np.abs(run(plain, {"image": rows}) - wanted).max() < 1e-5
    model = onnx.load(str(plain))
    kinds = {node.op_type for node in model.graph.node}
    assert kinds <= set(
        ["Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Concat", "Mul", "Gemm", "ReduceL2", "Div"]
    )
    assert not any(a.name == "auto_pad" for n in model.graph.node for a in n.attribute)
    assert [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] == [17]


def test_int8_stays_close_and_is_int8(image_graphs):
    _, small, rows, wanted = image_graphs
    got = run(small, {"image": rows})
    assert compare(wanted, got)["cosine_mean"] > 0.99
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 1e-5
    model = onnx.load(str(small))
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    inputs = {o: n for n in model.graph.node for o in n.output}
    for node in model.graph.node:
        if node.op_type == "Conv":
            source = inputs[node.input[1]]
            assert source.op_type == "DequantizeLinear" and kinds[source.input[0]] == onnx.TensorProto.INT8
            assert len(next(t for t in model.graph.initializer if t.name == source.input[1]).dims) == 1


@pytest.mark.parametrize("batch", [1, 3])
def test_batches(image_graphs, batch):
    _, small, rows, _ = image_graphs
    one = np.concatenate([run(small, {"image": rows[i : i + 1]}) for i in range(batch)])
    assert np.abs(run(small, {"image": rows[:batch]}) - one).max() < 1e-5


def test_text_graph(tmp_path):
    torch.manual_seed(0)
    shape = TextShape(vocabulary=400, width=32, layers=2, heads=4, inner=64, positions=20)
    encoder = TextEncoder(8, TextTower(shape)).eval()
    axes = {0: "batch", 1: "sequence"}
    ids = torch.randint(1, 400, (2, 7))
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    names = ["input_ids", "attention_mask"]
    dynamic = {"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}}
    export_onnx(encoder, (ids, torch.ones_like(ids)), plain, names, ["embedding"], dynamic, opset=14)
    quantise_dynamic_text(plain, small)
    for batch, length in ((1, 3), (3, 11)):
        ids = torch.randint(1, 400, (batch, length))
        mask = torch.ones_like(ids)
        mask[-1, length // 2 :] = 0
        feeds = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        with torch.no_grad():
            wanted = encoder(ids, mask).numpy()
        assert np.abs(run(plain, feeds) - wanted).max() < 1e-5
        assert compare(wanted, run(small, feeds))["cosine_min"] > 0.98
    model = onnx.load(str(small))
    sides = [[d.dim_param for d in i.type.tensor_type.shape.dim] for i in model.graph.input]
    assert sides == [["batch", "sequence"]] * 2
    assert sum(n.op_type == "MatMulInteger" for n in model.graph.node) == 12
    assert any(t.data_type == onnx.TensorProto.INT8 and t.dims == [400, 32] for t in model.graph.initializer)
