"""Summaries as TensorBoard's files hold them, made of numbers, arrays and tensors."""

import io
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import struct_pb2
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils.tensorboard._arrays import as_hwc, as_png, make_np

__all__ = [
    "audio",
    "custom_scalars",
    "histogram",
    "histogram_raw",
    "hparams",
    "image",
    "pr_curve",
    "pr_curve_raw",
    "scalar",
    "text",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def _summary(tag: str, plugin: str = "", content: bytes = b"", **value: Any) -> Summary:
    """One value, with the name of TensorBoard's plugin that shows it."""
    if plugin:
        data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
        value["metadata"] = SummaryMetadata(plugin_data=data)
    return Summary(value=[Summary.Value(tag=tag, **value)])


def _tensor(dtype: str, shape: Sequence[int], **elements: Any) -> TensorProto:
    dims = [TensorShapeProto.Dim(size=length) for length in shape]
    return TensorProto(dtype=dtype, tensor_shape=TensorShapeProto(dim=dims), **elements)


# ------------------------------------------------------------------------------------------- numbers and texts


def scalar(
    name: str, tensor: Any, new_style: bool = False, double_precision: bool = False
) -> Summary:
    """One number.

    Raises:
        AssertionError: the tensor has several elements.
    """
    found = make_np(tensor).squeeze()
    if found.ndim:
        raise AssertionError(
            f"Tensor should contain one element (0 dimensions). Was given size: {found.size} and {found.ndim} dimensions."
        )
    number = float(found)
    if not new_style:
        return _summary(name, simple_value=number)
    kind, field = ("DT_DOUBLE", "double_val") if double_precision else ("DT_FLOAT", "float_val")
    return _summary(name, "scalars", tensor=TensorProto(dtype=kind, **{field: [number]}))


def text(tag: str, text: str) -> Summary:
    """A text, which may be Markdown."""
    content = TextPluginData(version=0).SerializeToString()
    found = _tensor("DT_STRING", (1,), string_val=[text.encode()])
    return _summary(f"{tag}/text_summary", "text", content, tensor=found)


def custom_scalars(layout: dict[str, dict[str, Any]]) -> Summary:
    """Which scalars are shown in one chart: by category and title, "Multiline" or "Margin", and the tags.

    Raises:
        AssertionError: a chart with a margin has not three tags.
    """
    categories = []
    for category, titles in layout.items():
        charts = []
        for title, (kind, tags) in titles.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("len(tags) != 3")
                series = layout_pb2.MarginChartContent.Series(
                    **dict(zip(("value", "lower", "upper"), tags, strict=True))
                )
                content: Any = {"margin": layout_pb2.MarginChartContent(series=[series])}
            else:
                content = {"multiline": layout_pb2.MultilineChartContent(tag=tags)}
            charts.append(layout_pb2.Chart(title=title, **content))
        categories.append(layout_pb2.Category(title=category, chart=charts))
    found = layout_pb2.Layout(category=categories).SerializeToString()
    tensor = _tensor("DT_STRING", (), string_val=[found])
    return _summary("custom_scalars__config__", "custom_scalars", tensor=tensor)


# ------------------------------------------------------------------------------------------- distributions


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Summary:
    """A histogram of elements.

    Args:
        name: its name.
        values: the elements.
        bins: as in `numpy.histogram`.
        max_bins: bins are joined until there are no more.

    Raises:
        ValueError: there are no elements.
    """
    found = make_np(values).astype(float).reshape(-1)
    if not found.size:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(found, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        joined = len(counts) // max_bins
        rest = len(counts) % joined
        counts = np.pad(counts, (0, joined - rest)) if rest else counts
        counts = counts.reshape(-1, joined).sum(-1)
        limits = np.append(limits[:-1:joined], limits[-1])
    # Only bins from the first element to the last. TensorBoard knows right limits alone, so an empty bin comes first.
    filled = np.flatnonzero(counts)
    start, end = int(filled[0]), int(filled[-1]) + 1
    counts = counts[start - 1 : end] if start else np.append(0, counts[:end])
    return histogram_raw(
        name,
        found.min(),
        found.max(),
        len(found),
        found.sum(),
        found.dot(found),
        limits[start : end + 1].tolist(),
        counts.tolist(),
    )


def histogram_raw(
    name: str,
    min: Any,
    max: Any,
    num: Any,
    sum: Any,
    sum_squares: Any,
    bucket_limits: Any,
    bucket_counts: Any,
) -> Summary:
    """A histogram that is known: its facts, the right limit of each bin, and the count in each."""
    found = HistogramProto(
        min=min,
        max=max,
        num=num,
        sum=sum,
        sum_squares=sum_squares,
        bucket_limit=bucket_limits,
        bucket=bucket_counts,
    )
    return _summary(name, histo=found)


def pr_curve(
    tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None
) -> Summary:
    """Precision and recall of predicted probabilities by threshold."""
    count = min(num_thresholds, 127)
    labels = labels.astype(np.float64)
    weights = 1.0 if weights is None else weights
    places = np.int32(np.floor(predictions * (count - 1)))
    true, false = (
        np.histogram(places, bins=count, range=(0, count - 1), weights=each * weights)[0]
        for each in (labels, 1.0 - labels)
    )
    tp, fp = (np.cumsum(each[::-1])[::-1] for each in (true, false))
    precision = tp / np.maximum(1e-7, tp + fp)
    recall = tp / np.maximum(1e-7, tp[0])
    return pr_curve_raw(tag, tp, fp, fp[0] - fp, tp[0] - tp, precision, recall, count)


def pr_curve_raw(
    tag: str,
    tp: Any,
    fp: Any,
    tn: Any,
    fn: Any,
    precision: Any,
    recall: Any,
    num_thresholds: int = 127,
    weights: Any = None,
) -> Summary:
    """Precision and recall that are known: counts and both by threshold."""
    data = np.stack((tp, fp, tn, fn, precision, recall))
    content = PrCurvePluginData(version=0, num_thresholds=min(num_thresholds, 127))
    tensor = _tensor("DT_FLOAT", data.shape, float_val=data.reshape(-1).tolist())
    return _summary(tag, "pr_curves", content.SerializeToString(), tensor=tensor)


# ------------------------------------------------------------------------------------------- images and sounds


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Summary:
    """An image, or a grid of several; of bytes, or of numbers between zero and one.

    Args:
        tag: its name.
        tensor: the elements.
        rescale: a factor of height and width.
        dataformats: the order of the dimensions.
    """
    array = as_hwc(make_np(tensor), dataformats)
    factor = 1 if array.dtype == np.uint8 else 255
    array = (array.astype(np.float32) * factor).clip(0, 255).astype(np.uint8)
    height, width, channels = array.shape
    encoded = as_png(array, (int(width * rescale), int(height * rescale)))
    found = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=encoded
    )
    return _summary(tag, image=found)


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Summary:
    """A sound of one channel, with elements between minus one and one.

    Raises:
        AssertionError: it has several dimensions.
    """
    array = make_np(tensor).squeeze()
    if abs(array).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        array = array.clip(-1, 1)
    if array.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        sound.writeframes((array * np.iinfo(np.int16).max).astype("<i2").data)
    found = Summary.Audio(
        sample_rate=sample_rate,
        num_channels=1,
        length_frames=len(array),
        encoded_audio_string=file.getvalue(),
        content_type="audio/wav",
    )
    return _summary(tag, audio=found)


# ------------------------------------------------------------------------------------------- hyperparameters

_KINDS = (
    ((int, float), "number_value", "DATA_TYPE_FLOAT64"),
    (str, "string_value", "DATA_TYPE_STRING"),
)


def hparams(
    hparam_dict: Any, metric_dict: Any, hparam_domain_discrete: Any = None
) -> tuple[Summary, Summary, Summary]:
    """The hyperparameters of a run: the experiment, its start, its end.

    Args:
        hparam_dict: the hyperparameters by name; numbers, texts, bools or tensors of one element.
        metric_dict: the metrics' names.
        hparam_domain_discrete: all values that a hyperparameter may have, by name.

    Raises:
        TypeError: an argument is no dictionary, or its values do not fit.
        ValueError: a hyperparameter is something else.
    """
    domains = hparam_domain_discrete or {}
    for name, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict)):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    if not isinstance(domains, dict):
        raise TypeError("parameter: hparam_domain_discrete should be a dictionary, nothing logged.")
    for key, values in domains.items():
        known = key in hparam_dict and isinstance(values, list)
        if not known or not all(isinstance(each, type(hparam_dict[key])) for each in values):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{key}] should be a list of same type as hparam_dict[{key}]."
            )
    start, infos = plugin_data_pb2.SessionStartInfo(), []
    for key, value in hparam_dict.items():
        if value is None:
            continue
        if isinstance(value, Tensor):
            value = float(make_np(value).reshape(-1)[0])
        found = next(((field, kind) for types, field, kind in _KINDS if isinstance(value, types)), None)  # fmt: skip
        if found is None:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        field, kind = found
        setattr(start.hparams[key], field, value)
        domain = None
        if key in domains:
            values = [struct_pb2.Value(**{field: each}) for each in domains[key]]
            domain = struct_pb2.ListValue(values=values)
        infos.append(
            api_pb2.HParamInfo(name=key, type=api_pb2.DataType.Value(kind), domain_discrete=domain)
        )
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=key)) for key in metric_dict]
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"))
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)
    return (
        _of_run(metadata.EXPERIMENT_TAG, experiment=experiment),
        _of_run(metadata.SESSION_START_INFO_TAG, session_start_info=start),
        _of_run(metadata.SESSION_END_INFO_TAG, session_end_info=end),
    )


def _of_run(tag: str, **part: Any) -> Summary:
    found = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **part)
    return _summary(tag, metadata.PLUGIN_NAME, found.SerializeToString())
