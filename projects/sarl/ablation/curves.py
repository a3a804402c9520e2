"""How the arms' scores rise over the training."""

import io
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..files import write_whole
from .runs import CURVE


def draw_curves(folders: dict[str, dict[int, Path]], out: Path) -> None:
    """Draw AP by epoch: the mean over the seeds, and their range as a band.

    Args:
        folders (dict[str, dict[int, Path]]): From `run_grid`.
        out (Path): The PNG file to write.
    """
    figure = Figure(figsize=(8, 5), layout='constrained')
    axes = figure.subplots()
    for name, by_seed in folders.items():
        curves = [json.loads((path / CURVE).read_text()) for path in by_seed.values()]
        epochs = [row['epoch'] for row in curves[0]]
        (key,) = [key for key in curves[0][0] if key.endswith('/AP')]
        scores = 100 * np.array([[row[key] for row in curve] for curve in curves])
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
