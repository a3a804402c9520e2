"""What a detector costs."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn


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
        return FlopAnalyzer(model, (image,)).total()


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
