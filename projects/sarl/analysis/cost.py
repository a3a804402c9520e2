"""What a detector costs."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ..errors import InputError
from ..progress import progress_bar


@dataclass
class Cost:
    """What a detector costs on an image.

    Args:
        parameters (int): Their number.
        flops (int): Of a forward pass, a multiplication and addition as one.
        ms (float, optional): Milliseconds of a forward pass.
    """

    parameters: int
    flops: int
    ms: float | None = None


def costs_of_configs(
    cfgs: Sequence[Config], size: int, timed: bool = True, repeats: int = 20
) -> list[Cost]:
    """Measure the detectors of configs side by side, with random weights.

    Args:
        cfgs (Sequence[Config]): Configs of MMYOLO or MMDetection.
        size (int): Side of the square image in px, a multiple of 32.
        timed (bool): Whether to time forward passes, in which the detectors take
            turns.
        repeats (int): Timed passes.

    Returns:
        list[Cost]: A config each.

    Raises:
        InputError: If the size is no multiple of 32, or `repeats` is below 1.
    """
    if size <= 0 or size % 32:
        raise InputError(f'the image size is a multiple of 32 px, not {size}.')
    if repeats < 1:
        raise InputError(f'the number of timed passes is at least 1, not {repeats}.')
    image = torch.rand(1, 3, size, size, device=get_device())
    models, costs = [], []
    for cfg in progress_bar(cfgs, desc='parameters and FLOPs'):
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        detector = MODELS.build(cfg.model).to(image.device).eval()
        costs.append(cost_of_detector(detector, size, size))
        models.append(_Forward(detector, size, size))
    if timed:
        total = len(models) * (repeats + 1)
        with progress_bar(desc='forward passes', total=total) as bar:
            for model in models:
                model.register_forward_hook(_then(bar.update))
            for cost, ms in zip(costs, forward_ms(models, image, repeats), strict=True):
                cost.ms = ms
    return costs


def _then(call: Callable[[], object]) -> Callable:
    def hook(*_) -> None:
        call()

    return hook


class _Forward(nn.Module):
    """A detector's forward pass; some need to be told the size of their images."""

    def __init__(self, detector: nn.Module, height: int, width: int) -> None:
        super().__init__()
        self.detector = detector
        sizes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
        metainfo = dict.fromkeys(sizes, (height, width))
        metainfo['scale_factor'] = (1.0, 1.0)
        self.samples = [DetDataSample(metainfo=metainfo)]

    def forward(self, image: Tensor):
        return self.detector(image, self.samples)


def cost_of_detector(detector: nn.Module, height: int, width: int) -> Cost:
    """Count the parameters of a detector and its FLOPs on an image.

    Args:
        detector (nn.Module): In eval mode.
        height (int): Of the image in px.
        width (int): Likewise.
    """
    image = torch.zeros(1, 3, height, width, device=next(detector.parameters()).device)
    forward = _Forward(detector, height, width).eval()
    return Cost(count_parameters(detector), flops(forward, image))


def count_parameters(model: nn.Module) -> int:
    """Count the parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.inference_mode()
def ms_per_image(
    models: Sequence[nn.Module], images: Sequence[dict], repeats: int = 2
) -> list[float]:
    """Time detectors side by side: preprocessing, network and NMS, one image a time.

    The models take turns on every image, so that whatever else the machine does
    falls on all of them alike.

    Args:
        models (Sequence[nn.Module]): Detectors, on their device, in eval mode.
        images (Sequence[dict]): Items of a test data set.
        repeats (int): Passes over the images; the first image is also run once
            before, untimed.

    Returns:
        list[float]: Median milliseconds an image, a model each.
    """
    for model in models:
        model.test_step(pseudo_collate([images[0]]))
    rounds = (
        [partial(model.test_step, pseudo_collate([image])) for model in models]
        for _ in range(repeats)
        for image in images
    )
    return _median_ms(rounds)


@torch.inference_mode()
def forward_ms(
    models: Sequence[nn.Module], image: Tensor, repeats: int = 20
) -> list[float]:
    """Time forward passes side by side.

    Args:
        models (Sequence[nn.Module]): Detectors, on the image's device, in eval mode.
        image (Tensor): Shape (1, 3, H, W).
        repeats (int): Timed passes, after an untimed one.

    Returns:
        list[float]: Median milliseconds, a model each.
    """
    for model in models:
        model(image)
    return _median_ms([[partial(model, image) for model in models]] * repeats)


def flops(model: nn.Module, image: Tensor) -> int:
    """Count the FLOPs of a forward pass, a multiplication and addition as one.

    Args:
        model (nn.Module): A detector in eval mode.
        image (Tensor): Shape (1, 3, H, W).
    """
    with torch.inference_mode():
        analyzer = FlopAnalyzer(model, (image,))
        # It tells each operator that it skips, such as an addition.
        analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return analyzer.total()


def _median_ms(rounds: Iterable[Sequence[Callable[[], object]]]) -> list[float]:
    times = []
    for calls in rounds:
        times.append([])
        for call in calls:
            _synchronize()
            start = time.perf_counter()
            call()
            _synchronize()
            times[-1].append(time.perf_counter() - start)
    return (1000 * np.median(times, axis=0)).tolist()


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
