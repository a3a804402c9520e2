"""bfloat16 training on any device.

MMEngine's `AmpOptimWrapper` refuses to run on a CPU. bfloat16 has float32's range,
so no loss scaling is needed.
"""

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from ..registry import register_optim_wrapper


@register_optim_wrapper
class AutocastOptimWrapper(OptimWrapper):
    """`OptimWrapper` whose forward pass runs under bfloat16 autocast."""

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Autocast, inside the parent's gradient accumulation context."""
        with (
            super().optim_context(model),
            torch.autocast(get_device(), dtype=torch.bfloat16),
        ):
            yield
