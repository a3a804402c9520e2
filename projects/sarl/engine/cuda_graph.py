"""Training of small detectors on a GPU, without waiting for launches.

A step of a nano detector is some 2,000 kernels of a few microseconds each: it takes as
long as the processor needs to launch them. A CUDA graph launches those of a module's
forward or backward pass as one.
"""

from collections.abc import Callable, Sequence

import torch
from mmengine.device import is_cuda_available
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from ..errors import InputError
from ..registry import register_hook


@register_hook
class CUDAGraphHook(Hook):
    """Capture modules of the detector as CUDA graphs; do nothing on a CPU.

    Each is captured when it is first called, for inputs of that shape; others, as of a
    last batch that is smaller, are computed as ever, and so is what has no graph: the
    loss, whose shapes change with the number of objects.

    Args:
        modules (Sequence[str]): Names in the detector; those it lacks are left out.

    Raises:
        InputError: When training starts, if it is one of several processes, its
            gradients are accumulated over iterations, or a thread pins memory, which
            breaks a capture.
    """

    def __init__(
        self, modules: Sequence[str] = ('backbone', 'neck', 'bbox_head.head_module')
    ) -> None:
        self.names = modules
        self.modules: list[nn.Module] = []

    def before_train(self, runner: Runner) -> None:
        """Let the modules be captured."""
        if not is_cuda_available():
            return
        _check(runner)
        modules = dict(runner.model.named_modules())
        self.modules = [modules[name] for name in self.names if name in modules]
        for module in self.modules:
            module.forward = _captured_at_first_call(module)

    def after_train(self, runner: Runner) -> None:
        """Leave the modules as they were."""
        for module in self.modules:
            del module.forward
        self.modules = []


def _check(runner: Runner) -> None:
    if is_model_wrapper(runner.model):
        raise InputError('CUDAGraphHook is for one process; leave it out for several.')
    if runner.optim_wrapper._accumulative_counts > 1:
        raise InputError(
            'CUDAGraphHook needs optim_wrapper.accumulative_counts=1: a graph writes '
            'its gradients over those of the last iteration.'
        )
    loader = runner.train_dataloader
    if loader.num_workers and loader.pin_memory:
        raise InputError(
            'CUDAGraphHook needs train_dataloader.num_workers=0 or pin_memory=False: '
            'pinning memory in a thread breaks the capture of a graph.'
        )


def _captured_at_first_call(module: nn.Module) -> Callable:
    eager = module.forward
    shapes = graphed = None

    def forward(*args):
        nonlocal shapes, graphed
        if not (module.training and torch.is_grad_enabled()):
            return eager(*args)
        found = [arg.shape for arg in tree_leaves(args)]
        if graphed is None:
            shapes, graphed = found, _capture(module, eager, args)
            module.forward = forward
        return (graphed if found == shapes else eager)(*args)

    return forward


def _capture(module: nn.Module, eager: Callable, args: tuple) -> Callable:
    """Return a forward pass that replays a graph, as its backward pass does.

    The passes that warm the capture up leave no trace in the statistics of
    normalisation.
    """
    module.forward = eager
    samples = tree_map(
        lambda arg: arg.detach().clone().requires_grad_(arg.requires_grad), args
    )
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    caches = torch.is_autocast_cache_enabled()
    # Weights that are cast once for several calls would not be cast when replayed.
    torch.set_autocast_cache_enabled(False)
    try:
        torch.cuda.make_graphed_callables(module, samples)
    finally:
        torch.set_autocast_cache_enabled(caches)
    for buffer, before in buffers:
        buffer.copy_(before)
    return module.forward
