"""What a detector costs."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import nn


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
    times = [[] for _ in models]
    for model in models:
        model.test_step(pseudo_collate([images[0]]))
    for image in [image for _ in range(repeats) for image in images]:
        for model, seconds in zip(models, times, strict=True):
            _synchronize()
            start = time.perf_counter()
            model.test_step(pseudo_collate([image]))
            _synchronize()
            seconds.append(time.perf_counter() - start)
    return [1000 * float(np.median(seconds)) for seconds in times]


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
