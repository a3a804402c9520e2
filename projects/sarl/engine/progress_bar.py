"""A progress bar with the time left, in place of log lines."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from ..progress import progress_bar
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
            progress_bar(
                desc=f'{self.name} {phase}'.strip(),
                total=total,
                initial=done,
                unit='batch',
                leave=not self.bars,
            )
        )

    def _close(self) -> None:
        self.bars.pop().close()

    def before_train(self, runner: Runner) -> None:
        """Open the bar of the training, where a resumed run stands."""
        self._open('train', runner.max_iters, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Close the bar of the training."""
        self._close()

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Open the bar of a validation, under that of a training, or of a test."""
        if mode != 'train':
            self._open(mode, len(getattr(runner, f'{mode}_dataloader')))

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch=None,
        outputs=None,
        mode: str = 'train',
    ) -> None:
        """Count a batch."""
        if mode == 'train' and outputs is not None and 'loss' in outputs:
            self.bars[-1].set_postfix(loss=f'{outputs["loss"]:.3f}', refresh=False)
        self.bars[-1].update()

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Close what `_before_epoch` opened."""
        if mode != 'train':
            self._close()
