"""The hook that keeps SAL's adaptive reference up to date."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..losses import SAL
from ..registry import register_hook


@register_hook
class SALHook(Hook):
    """Update the reference of every SAL of the model after each iteration.

    All processes do it at the same place, so their references are equal, whichever of
    them had positives.
    """

    # Before checkpoints are saved.
    priority = 'NORMAL'

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Update the references."""
        for module in runner.model.modules():
            if isinstance(module, SAL):
                module.update()
