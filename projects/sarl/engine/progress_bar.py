"""A progress bar with the time left, in place of log lines."""

import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from ..registry import register_hook


@register_hook
class ProgressBarHook(Hook):
    """Show iterations done, speed and time left on standard error.

    Args:
        name (str): What is being run, shown before the bar.
    """

    priority = 'VERY_LOW'

    def __init__(self, name: str = '') -> None:
        self.name = name
        self.bars: list[tqdm] = []

    def _open(self, phase: str, total: int, done: int = 0) -> None:
        self.bars.append(
            tqdm(
                desc=f'{self.name} {phase}'.strip(),
                total=total,
                initial=done,
                unit='batch',
                dynamic_ncols=True,
                # A log file gets a line now and then, not ten a second.
                mininterval=0.5 if sys.stderr.isatty() else 15,
                leave=not self.bars,
                disable=not is_main_process(),
            )
        )

    def _close(self) -> None:
        self.bars.pop().close()

    def before_train(self, runner: Runner) -> None:
        """Open the bar of the training, where a resumed run stands."""
        self._open('train', runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Count an iteration."""
        if outputs is not None and 'loss' in outputs:
            self.bars[-1].set_postfix(loss=f'{outputs["loss"]:.3f}', refresh=False)
        self.bars[-1].update()

    def after_train(self, runner: Runner) -> None:
        """Close the bar of the training."""
        self._close()

    def before_val_epoch(self, runner: Runner) -> None:
        """Open the bar of a validation, under that of the training."""
        self._open('val', len(runner.val_dataloader))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Count a batch."""
        self.bars[-1].update()

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Close the bar of the validation."""
        self._close()

    def before_test_epoch(self, runner: Runner) -> None:
        """Open the bar of a test."""
        self._open('test', len(runner.test_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Count a batch."""
        self.bars[-1].update()

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Close the bar of the test."""
        self._close()
