"""What stands in the blocks."""

import numpy as np

from .areas import Area
from .canvas import Canvas
from .clutter import (
    bird,
    container,
    dark_roof,
    foam,
    painted_cross,
    parasol,
    post,
    raft,
    rock,
    roof,
    shed,
    shrub,
    tarp,
    tree,
)
from .colours import COLOURS, one_of, tinted
from .objects import (
    airplane,
    person,
    ship,
    storage_tank,
    swimming_pool,
    vehicle,
    wind_mill,
)
from .shapes import Shape, oblong, rotation, sized


def parking(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    for start, along, run in canvas.stretches(area, 15, 45, 9 * canvas.scale):
        depth = 12 * canvas.scale
        slots = np.arange(-12, run + 18, 6.5 * canvas.scale)
        lines = oblong(0.5, depth, y=depth / 2) + [[(x, 0)] for x in slots]
        canvas.paint(lines @ rotation(along).T + start, COLOURS['mark'])
        canvas.line_up(vehicle, start, along, run)
    canvas.scatter(area, shed, rng.integers(3))
    canvas.scatter(area, person, rng.integers(2))
    canvas.scatter(area, tree, rng.integers(4))


def harbour(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    for start, along, run in canvas.stretches(area, 20, 50, 14 * canvas.scale):
        width = rng.uniform(3, 7)
        step, side = rotation(along).T
        side = 0.5 * width * side
        pier = oblong(run + 14, width, run / 2 - 2)
        wood = one_of(rng, 'silver beige brown')
        canvas.put(Shape([(pier, wood)], 1.5), start, along)
        canvas.line_up(ship, start + side, along, rng.uniform(0.3, 1) * run, 1.0)
        if rng.random() < 0.3:
            far = start - side + run * step
            canvas.line_up(ship, far, along + np.pi, 0.5 * run, 1.0)
    for _ in range(rng.integers(3)):
        boat, course = ship(rng, canvas.scale), rng.uniform(0, 7)
        xy = canvas.spot(area, boat.length)
        if xy is None:
            continue
        if rng.random() < 0.5:
            half = np.array([(-0.3, 0.1), (-1.4, 0.4), (-1.2, 0)]) * boat.length
            wake = np.concatenate([half, half[::-1] * (1, -1)])
            canvas.put(Shape([(wake, tinted(rng, COLOURS['foam']))]), xy, course)
        canvas.put(boat, xy, course)
    canvas.scatter(area, raft, rng.integers(3))
    canvas.scatter(area, dark_roof, rng.integers(2))
    canvas.scatter(area, rock, rng.integers(5))
    canvas.scatter(area, foam, rng.integers(14), rng.uniform(0, 7))


def airport(canvas: Canvas, area: Area) -> None:
    rng, runway = canvas.rng, -0.32 * area.width
    tar = one_of(rng, 'grey black', 8) + 30
    canvas.paint(area.strip(0.22 * area.width, runway), tar)
    canvas.paint(area.strip(0.9, runway), COLOURS['mark'])
    canvas.paint(area.strip(0.7, 0.1 * area.width), COLOURS['yellow'])
    if rng.random() < 0.5:
        x = rng.uniform(-0.45, -0.1) * area.length
        start = area.at(x, rng.uniform(-0.1, 0.15) * area.width)
        run = rng.uniform(0.25, 0.5) * area.length
        canvas.line_up(airplane, start, area.heading(x), run, 8)
    canvas.scatter(area, airplane, rng.integers(1, 5))
    canvas.scatter(area, vehicle, rng.integers(3))
    canvas.scatter(area, painted_cross, rng.integers(4))
    canvas.scatter(area, bird, rng.integers(3))
    canvas.scatter(area, container, rng.integers(3), area.heading())


def tank_farm(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    diameter = sized(rng, 15 * canvas.scale, 0.35, 5.5, 34)
    pitch = diameter * rng.uniform(1.1, 1.5)
    x, y = rng.uniform(-0.4, 0, 2) * (area.length, area.width)
    for row, column in np.ndindex(*rng.integers((1, 2), (3, 5))):
        if rng.random() < 0.85:
            tank = storage_tank(rng, canvas.scale, diameter * rng.uniform(0.9, 1))
            xy = area.at(x + column * pitch, y + row * pitch)
            canvas.put(tank, xy, canvas.sun)
    canvas.scatter(area, storage_tank, rng.integers(3), canvas.sun)
    canvas.scatter(area, shrub, rng.integers(2, 8))
    canvas.scatter(area, shed, rng.integers(3), area.heading())
    canvas.scatter(area, vehicle, rng.integers(3))


def homes(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    for _ in range(rng.integers(2, 6)):
        length = sized(rng, 24 * canvas.scale, 0.2, 14, 42)
        house = roof(rng, length, rng.uniform(0.5, 0.8))
        xy = canvas.spot(area, 0.8 * house.length)
        if xy is None:
            continue
        angle = area.heading() + rng.integers(4) * np.pi / 2 + rng.normal(0, 0.05)
        canvas.put(house, xy, angle)
        # pools lie behind a house, cars stand in front of it
        for draw, share, spread, side in (
            (swimming_pool, 0.75, 3, 1),
            (vehicle, 0.35, 4, -1),
        ):
            if rng.random() < share:
                thing = draw(rng, canvas.scale)
                away = (house.width + thing.width) / 2 + rng.uniform(1, 4)
                shift = rotation(angle) @ (rng.normal(0, spread), side * away)
                canvas.put(thing, xy + shift, angle)
    canvas.scatter(area, tarp, rng.integers(3))
    canvas.scatter(area, person, rng.integers(3))
    canvas.scatter(area, tree, rng.integers(3, 10))


def wind_park(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    canvas.scatter(area, wind_mill, rng.integers(1, 5))
    canvas.scatter(area, post, rng.integers(3))
    canvas.scatter(area, bird, rng.integers(3))
    canvas.scatter(area, tree, rng.integers(6))
    canvas.scatter(area, rock, rng.integers(8))


def plaza(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    for _ in range(rng.integers(1, 3)):
        middle = canvas.spot(area, 12)
        if middle is None:
            continue
        for _ in range(rng.integers(2, 6)):
            somebody = person(rng, canvas.scale)
            xy = middle + rng.normal(0, 9 * canvas.scale, 2)
            if canvas.free(xy, 0.35 * somebody.width):
                canvas.put(somebody, xy, rng.uniform(0, 7))
    canvas.scatter(area, post, rng.integers(2, 8))
    canvas.scatter(area, parasol, rng.integers(5))
    canvas.scatter(area, shrub, rng.integers(4))
    canvas.scatter(area, rock, rng.integers(6))
    canvas.scatter(area, tarp, rng.integers(2))


def works(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    x = rng.uniform(-0.4, 0) * area.length
    canvas.line_up(container, area.at(x, 0), area.heading(x), rng.uniform(10, 40))
    canvas.scatter(area, vehicle, rng.integers(1, 4))
    canvas.scatter(area, person, rng.integers(1, 4))
    canvas.scatter(area, container, rng.integers(1, 5))
    canvas.scatter(area, dark_roof, rng.integers(2), area.heading())
    canvas.scatter(area, tarp, rng.integers(3))
    canvas.scatter(area, rock, rng.integers(3, 14))


def wild(canvas: Canvas, area: Area) -> None:
    rng = canvas.rng
    canvas.scatter(area, shrub, rng.integers(5))
    canvas.scatter(area, tree, rng.integers(7))
    canvas.scatter(area, rock, rng.integers(8))
    canvas.scatter(area, bird, rng.integers(3))
    canvas.scatter(area, person, rng.integers(2))
