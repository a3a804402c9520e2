"""What stands on the strips between blocks."""

import numpy as np

from .areas import Area
from .canvas import Canvas
from .clutter import foam
from .colours import COLOURS, one_of
from .objects import bridge, person, ship, vehicle
from .shapes import oblong, rotation


def road(canvas: Canvas, area: Area) -> None:
    rng, edge = canvas.rng, area.width / 2 - 1.2
    for y in (-edge, edge):
        canvas.paint(area.strip(0.6, y), COLOURS['mark'])
    starts = np.arange(-area.length / 2, area.length / 2, 12)
    dashes = oblong(5, 0.7) + [[(x, 0)] for x in starts]
    canvas.paint(area.at(dashes[..., 0], dashes[..., 1]), COLOURS['mark'])
    for lane, back in ((area.width / 4, 0), (-area.width / 4, np.pi)):
        x = rng.exponential(200) - area.length / 2
        while x < area.length / 2:
            shape = vehicle(rng, canvas.scale)
            if canvas.free(area.at(x, lane), shape.width / 2):
                canvas.put(shape, area.at(x, lane), area.heading(x, lane) + back)
            x += shape.length + rng.exponential(330) + 2


def path(canvas: Canvas, area: Area) -> None:
    canvas.scatter(area, person, canvas.rng.integers(2))


def river(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    for x in rng.uniform(-0.45, 0.45, rng.integers(1, 5)) * area.length:
        xy, across = area.at(x, 0), area.heading(x) + np.pi / 2
        shape = bridge(rng, canvas.scale, area.width + rng.uniform(1, 5))
        flooded = canvas.wet_ends(xy, across, shape.length + 18).any()
        if flooded or not canvas.free(xy, 1.5 * shape.length):
            continue
        ramps = oblong(shape.length + rng.uniform(16, 50), 0.8 * shape.width)
        canvas.paint(ramps @ rotation(across).T + xy, one_of(rng, 'asphalt', 8))
        canvas.put(shape, xy, across)
    if area.width > 20:
        canvas.scatter(area, ship, rng.integers(2), area.heading())
    canvas.scatter(area, foam, rng.integers(8), area.heading())
