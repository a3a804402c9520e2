"""How the arms' scores rise over the training."""

import io
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from ..files import write_whole


def draw_curves(summary: dict, out: Path) -> None:
    """Draw AP by epoch: the mean over the seeds, and their range as a band.

    Args:
        summary (dict): From `summarise`, of runs that were scored more than once.
        out (Path): The PNG file to write.
    """
    figure = Figure(figsize=(8, 5), layout='constrained')
    axes = figure.subplots()
    styles = cycler(linestyle=['-', '--', ':'])
    axes.set_prop_cycle(styles * rcParams['axes.prop_cycle'])
    for name, arm in summary['arms'].items():
        epochs, scores = arm['curve']['epoch'], np.array(arm['curve']['AP'], float)
        (line,) = axes.plot(epochs, scores.mean(axis=0), label=name)
        axes.fill_between(
            epochs,
            scores.min(axis=0),
            scores.max(axis=0),
            color=line.get_color(),
            alpha=0.15,
        )
    axes.set(xlabel='epoch', ylabel='AP in percent')
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small')
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=110)
    write_whole(out, data.getvalue())
