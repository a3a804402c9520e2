"""The hook that keeps SAL's adaptive reference up to date."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..losses import SAL
from ..registry import register_hook


@register_hook
class SALHook(Hook):
    """Update the reference of every SAL of the model with each step of the optimizer.

    All processes do it at the same place, so their references are equal, whichever of
    them had positives. Batches whose gradients are accumulated count as one.
    """

    # Before the moving average of the model is taken and checkpoints are saved.
    priority = 'ABOVE_NORMAL'

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Update the references."""
        if not runner.optim_wrapper.should_update():
            return
        for module in runner.model.modules():
            if isinstance(module, SAL):
                module.update()
