"""`SummaryWriter`, which writes what TensorBoard shows."""

import math
import os
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from google.protobuf import text_format
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils.tensorboard import summary
from funcgrad.torch.utils.tensorboard._arrays import as_png, figure_to_image, make_grid, make_np
from funcgrad.torch.utils.tensorboard._graph import graph

__all__ = ["FileWriter", "SummaryWriter"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class FileWriter:
    """Writes events to one file.

    Args:
        log_dir: the folder.
        max_queue: how many events wait before they are written.
        flush_secs: how long they wait, in seconds.
        filename_suffix: the end of the file's name.
    """

    def __init__(
        self, log_dir: Any, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = ""
    ) -> None:
        self.event_writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> str:
        """The folder."""
        return self.event_writer.get_logdir()

    def add_event(self, event: Event, step: Any = None, walltime: float | None = None) -> None:
        """Write an event, of a step and of a time."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(
        self, summary: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a summary, of a step and of a time."""
        self.add_event(Event(summary=summary), global_step, walltime)

    def flush(self) -> None:
        """Write what waits."""
        self.event_writer.flush()

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Begin another file in the folder."""
        self.event_writer.reopen()


class SummaryWriter:
    """Writes summaries to a folder that TensorBoard shows.

    Args:
        log_dir: the folder; `runs/` with the time and the computer's name if empty.
        comment: the end of that name.
        purge_step: from this step on, TensorBoard hides what an earlier run wrote.
        max_queue, flush_secs, filename_suffix: as in `FileWriter`.

    Behaviour: https://docs.pytorch.org/docs/stable/tensorboard.html
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir, self.purge_step = log_dir, purge_step
        self.max_queue, self.flush_secs = max_queue, flush_secs
        self.filename_suffix = filename_suffix
        self._projector_config = ProjectorConfig()
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()
        steps = np.cumprod([1e-12, *[1.1] * 774])
        steps = steps[steps < 1e20]
        self.default_bins: list[float] = [*(-steps[::-1]).tolist(), 0, *steps.tolist()]

    def _opened(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self) -> FileWriter:
        if self.file_writer is None:
            self.file_writer = self._opened(self.log_dir)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                step = self.purge_step
                self.file_writer.add_event(Event(step=step, file_version="brain.Event:2"))
                start = SessionLog(status=SessionLog.START)
                self.file_writer.add_event(Event(step=step, session_log=start))
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> Any:
        """The folder."""
        return self.log_dir

    def _add(self, made: Any, step: Any = None, walltime: float | None = None) -> None:
        self._get_file_writer().add_summary(made, step, walltime)

    # -- numbers and texts ----------------------------------------------------------------------------------------

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Write a number.

        Args:
            tag: its name.
            scalar_value: a number, or a tensor of one element.
            global_step, walltime: its step and time.
            new_style, double_precision: in which field of the file it stands.
        """
        made = summary.scalar(tag, scalar_value, new_style, double_precision)
        self._add(made, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Write numbers that are shown in one chart, each to a folder of its own."""
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        writers: Any = self.all_writers
        for tag, value in tag_scalar_dict.items():
            place = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if place not in writers:
                writers[place] = self._opened(place)
            writers[place].add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a text."""
        self._add(summary.text(tag, text_string), global_step, walltime)

    def add_custom_scalars(self, layout: dict[str, dict[str, Any]]) -> None:
        """Say which scalars are shown in one chart; see `summary.custom_scalars`."""
        self._add(summary.custom_scalars(layout))

    def add_custom_scalars_multilinechart(
        self, tags: Any, category: str = "default", title: str = "untitled"
    ) -> None:
        """Show scalars of these tags in one chart."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: Any, category: str = "default", title: str = "untitled"
    ) -> None:
        """Show a scalar between two others."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Write the hyperparameters of a run and its metrics, to a folder of their own.

        Args:
            hparam_dict, metric_dict, hparam_domain_discrete: as in `summary.hparams`; here with the metrics' values.
            run_name: the folder's name; the time if None.
            global_step: the step.
        """
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        parts = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(folder) as writer:
            for part in parts:
                writer._add(part, global_step)
            for tag, value in metric_dict.items():
                writer.add_scalar(tag, value, global_step)

    # -- distributions --------------------------------------------------------------------------------------------

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Write a histogram of elements; `bins` as in `numpy.histogram`, or TensorFlow's."""
        chosen = self.default_bins if isinstance(bins, str) and bins == "tensorflow" else bins
        self._add(summary.histogram(tag, values, chosen, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: Any,
        max: Any,
        num: Any,
        sum: Any,
        sum_squares: Any,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Write a histogram that is known; see `summary.histogram_raw`."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        facts = (min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._add(summary.histogram_raw(tag, *facts), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Write precision and recall of predicted probabilities."""
        labels, predictions = make_np(labels), make_np(predictions)
        made = summary.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._add(made, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Write precision and recall that are known."""
        counts = (true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts)  # fmt: skip
        made = summary.pr_curve_raw(tag, *counts, precision, recall, num_thresholds, weights)
        self._add(made, global_step, walltime)

    # -- images and sounds ----------------------------------------------------------------------------------------

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Write an image: of bytes, or of numbers between zero and one."""
        made = summary.image(tag, img_tensor, dataformats=dataformats)
        self._add(made, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Write a grid of images."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Write a figure of matplotlib, or a grid of a list of them."""
        form = "NCHW" if isinstance(figure, list) else "CHW"
        picture = figure_to_image(figure, close)
        self.add_image(tag, picture, global_step, walltime, form)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Write a sound of one channel."""
        self._add(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    # -- graphs and embeddings ------------------------------------------------------------------------------------

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """Write the graph of a module: the modules in it, in the order of a call. PyTorch's shows ops.

        Args:
            model: the module.
            input_to_model: its argument, or a tuple of several.
            verbose: whether to print the graph.
            use_strict_trace: accepted.
        """
        made = graph(model, input_to_model)
        if verbose:
            print(made)
        self._get_file_writer().add_event(Event(graph_def=made.SerializeToString()))

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Write vectors for TensorBoard's projector.

        Args:
            mat: the vectors, of shape (N, features).
            metadata: a label for each.
            label_img: an image for each, of shape (N, C, H, W).
            global_step: the step.
            tag: the name.
            metadata_header: the columns' names, if a label is a list.
        """
        vectors = make_np(mat)
        step = str(0 if global_step is None else global_step).zfill(5)
        encoded = "".join(f"%{ord(c):02x}" if c in "%/\\" else c for c in tag)
        subdir = f"{step}/{encoded}"
        top = Path(self._get_file_writer().get_logdir())
        folder = top / subdir
        if folder.is_dir():
            print("warning: Embedding dir exists, did you set global_step for add_embedding()?")
        elif folder.exists():
            raise NotADirectoryError(f"Path: `{folder}` exists, but is a file. Cannot proceed.")
        folder.mkdir(parents=True, exist_ok=True)
        info = EmbeddingInfo(tensor_name=f"{tag}:{step}", tensor_path=f"{subdir}/tensors.tsv")
        if metadata is not None:
            if len(vectors) != len(metadata):
                raise AssertionError("#labels should equal with #data points")
            (folder / "metadata.tsv").write_text(_labels(metadata, metadata_header))
            info.metadata_path = f"{subdir}/metadata.tsv"
        if label_img is not None:
            if len(vectors) != label_img.shape[0]:
                raise AssertionError("#images should equal with #data points")
            (folder / "sprite.png").write_bytes(_sprite(make_np(label_img)))
            info.sprite.image_path = f"{subdir}/sprite.png"
            info.sprite.single_image_dim.extend([label_img.shape[3], label_img.shape[2]])
        if vectors.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        lines = ["\t".join(str(number.item()) for number in vector) for vector in vectors]
        (folder / "tensors.tsv").write_text("".join(f"{line}\n" for line in lines))
        self._projector_config.embeddings.extend([info])
        config = text_format.MessageToString(self._projector_config)
        (top / "projector_config.pbtxt").write_text(config)

    # -- not here -------------------------------------------------------------------------------------------------

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "add_image_with_boxes, add_video, add_mesh, add_onnx_graph and add_tensor: these summaries are not here. "
            "add_image and add_figure write pictures"
        )

    add_image_with_boxes = add_video = add_mesh = add_onnx_graph = add_tensor = _refuse

    def flush(self) -> None:
        """Write what waits."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Write what waits, and close the files."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> "SummaryWriter":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _labels(metadata: Any, header: Any) -> str:
    if not header:
        return "".join(f"{each}\n" for each in metadata)
    if len(header) != len(metadata[0]):
        raise AssertionError("len of header must be equal to the number of columns in metadata")
    return "".join("\t".join(map(str, each)) + "\n" for each in [header, *metadata])


def _sprite(images: np.ndarray) -> bytes:
    """All images as one square one."""
    grid = make_grid(images, math.ceil(len(images) ** 0.5)).transpose(1, 2, 0)
    square = np.zeros((grid.shape[1], grid.shape[1], 3))
    square[: grid.shape[0]] = grid
    return as_png((square * 255).clip(0, 255).astype(np.uint8))
