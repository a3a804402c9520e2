"""The canvas that things are put on, and who owns its pixels."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.random import Generator

from .areas import Area
from .raster import around, clipped, filled
from .shapes import Shape, oblong, rotation, sized

FINE = 4  # canvas px per image px
MIN_SIDE = 2.0  # px; AI-TOD holds nothing smaller
MIN_VISIBLE = 0.5  # share of an object's pixels that must be in sight
MIN_CONTRAST = 22  # grey levels between an object's mean colour and its ground


class Canvas:
    """A scene while it is drawn, `FINE` times finer than its image.

    A map of which object owns which pixel keeps boxes exact where things overlap.

    Args:
        rng (Generator): Every choice is drawn from it.
        ground (ndarray): BGR, uint8 (size, size, 3).
        wet (ndarray): Where the ground is water, bool (size, size).

    Attributes:
        image (ndarray): BGR, uint8 (size * FINE, size * FINE, 3).
        owner (ndarray): The object that each pixel belongs to, uint16 of the same
            height and width: 1 + its index in `objects`, 0 for none.
        objects (list): Of each the category, the number of canvas px that it
            covers, seen or not, and its window of the canvas.
        taken (ndarray): (x, y, radius) in px of all that stands already, (n, 3).
        scale (float): By how much things are larger than usual.
        sun (float): Where shadows point, radians.
    """

    def __init__(self, rng: Generator, ground: np.ndarray, wet: np.ndarray) -> None:
        self.rng = rng
        self.size = len(ground)
        self.wet = wet
        self.image = cv2.resize(ground, None, fx=FINE, fy=FINE)
        self.owner = np.zeros(self.image.shape[:2], np.uint16)
        self.objects = []
        self.taken = np.zeros((0, 3))
        self.scale = sized(rng, 1.12, 0.22, 0.65, 1.7)
        self.sun = rng.uniform(0, 2 * np.pi)
        self.shadow = rng.uniform(0.4, 1.2) * rotation(self.sun)[:, 0]
        self.shade = rng.uniform(0.45, 0.8)

    def paint(self, outlines: np.ndarray, colour) -> None:
        """Fill `outlines` (..., n, 2) in image px; for flat marks on the ground."""
        points = np.rint(outlines * FINE).astype(np.int32)
        polygons = list(points.reshape(-1, *points.shape[-2:]))
        cv2.fillPoly(self.image, polygons, np.asarray(colour, float).tolist())

    def put(self, shape: Shape, xy: np.ndarray, angle: float) -> None:
        """Draw `shape` with its origin at `xy` px, turned by `angle` radians."""
        if shape.swims and not self.wet_ends(xy, angle, shape.length).all():
            return
        turn = rotation(angle).T * FINE
        middle = np.asarray(xy) * FINE
        polygons = [np.rint(p @ turn + middle).astype(np.int32) for p, _ in shape.parts]
        self.taken = np.vstack([self.taken, (*xy, shape.radius)])
        self._cast_shadow(polygons, shape.height, shape.floats)
        whole = around(np.concatenate(polygons))
        window = clipped(whole, self.size * FINE)
        if not window:
            return
        view = self.image[window]
        before = view.copy()
        for polygon, (_, colour) in zip(polygons, shape.parts, strict=True):
            cv2.fillPoly(self.image, [polygon], np.asarray(colour, float).tolist())
        mask = filled(polygons, window)
        if self.rng.random() < 0.3:
            fade = self.rng.uniform(0.1, 0.45)
            view[:] = cv2.addWeighted(view, 1 - fade, before, fade, 0)
        if shape.category:
            _keep_visible(view, before, mask)
            covered = cv2.countNonZero(filled(polygons, whole))
            self.objects.append((shape.category, covered, window))
        self.owner[window][mask > 0] = len(self.objects) if shape.category else 0

    def _cast_shadow(self, polygons: list, height: float, floats: bool) -> None:
        shift = np.rint(self.shadow * height * FINE).astype(np.int32)
        cast = [polygon + shift for polygon in polygons]
        if not floats:
            pairs = zip(polygons, cast, strict=True)
            cast = [cv2.convexHull(np.concatenate(pair))[:, 0] for pair in pairs]
        window = clipped(around(np.concatenate(cast)), self.size * FINE)
        if shift.any() and window:
            view, dark = self.image[window], filled(cast, window)
            cv2.copyTo(cv2.convertScaleAbs(view, alpha=self.shade), dark, view)

    def boxes(self) -> list[dict]:
        """Objects in sight: `category` and `bbox` [x, y, w, h] in image px."""
        found = []
        for number, (category, covered, window) in enumerate(self.objects, 1):
            mine = (self.owner[window] == number).astype(np.uint8)
            if cv2.countNonZero(mine) < MIN_VISIBLE * covered:
                continue
            x, y, w, h = cv2.boundingRect(mine)
            x, y = x + window[1].start, y + window[0].start
            if min(w, h) >= MIN_SIDE * FINE:
                bbox = [value / FINE for value in (x, y, w, h)]
                found.append({'category': category, 'bbox': bbox})
        return found

    def free(self, points: np.ndarray, radius: float) -> np.ndarray:
        """Which of `points` (..., 2) have nothing within `radius` px."""
        away = np.asarray(points)[..., None, :] - self.taken[:, :2]
        return ((away**2).sum(-1) > (self.taken[:, 2] + radius) ** 2).all(-1)

    def wet_ends(self, xy: np.ndarray, angle: float, length: float) -> np.ndarray:
        """Whether water lies at the two ends of a line of `length` px about `xy`.

        Ends outside the image are judged by the nearest pixel inside.
        """
        ends = xy + np.outer((-0.5, 0.5), length * rotation(angle)[:, 0])
        x, y = np.clip(np.rint(ends), 0, self.size - 1).astype(int).T
        return self.wet[y, x]

    def _inside(self, points: np.ndarray) -> np.ndarray:
        return ((points > 0) & (points < self.size)).all(-1)

    def spot(self, area: Area, radius: float) -> np.ndarray | None:
        """A point (2,) of `area` in sight, with `radius` px free about it."""
        x, y = self.rng.uniform(-0.45, 0.45, (2, 12))
        points = area.at(x * area.length, y * area.width)
        good = points[self._inside(points) & self.free(points, radius)]
        return good[0] if len(good) else None

    def scatter(
        self, area: Area, draw: Callable, count: int, angle: float | None = None
    ) -> None:
        """Put `count` of what `draw` draws on free spots of `area`."""
        for _ in range(count):
            shape = draw(self.rng, self.scale)
            xy = self.spot(area, shape.radius + 1)
            if xy is not None:
                self.put(shape, xy, self.rng.uniform(0, 7) if angle is None else angle)

    def stretches(
        self, area: Area, shortest: float, longest: float, depth: float
    ) -> Iterator[tuple[np.ndarray, float, float]]:
        """One or two free places for `line_up`: (start, direction, run).

        To the right of each, `depth` px are free, and both its ends lie in `area`.
        """
        for _ in range(self.rng.integers(1, 3)):
            run = self.rng.uniform(shortest, longest)
            for _ in range(6):
                x, y = self.rng.uniform(-0.45, 0.4, 2) * (area.length, area.width)
                x = min(x, 0.45 * area.length - run)
                start, along = area.at(x, y), area.heading(x, y)
                corners = oblong(run, depth, run / 2, depth / 2)
                corners = corners @ rotation(along).T + start
                free = self.free(corners, 0.7 * depth).all()
                if free and self._inside(corners).any():
                    yield start, along, run
                    break

    def line_up(
        self,
        draw: Callable,
        start: np.ndarray,
        along: float,
        run: float,
        gap: float = 0.4,
    ) -> None:
        """Put things side by side for `run` px from `start`, noses to the right.

        Their tails stand on the line through `start` in direction `along`; they
        nearly touch unless `gap` (px) is larger.
        """
        step, side = rotation(along).T
        done = 0.0
        while done < run:
            shape = draw(self.rng, self.scale)
            done += shape.width + self.rng.uniform(0, gap)
            if self.rng.random() < 0.15:
                continue
            xy = start + (done - shape.width / 2) * step + 0.5 * shape.length * side
            back = np.pi * (self.rng.random() < 0.4)
            self.put(shape, xy, along + np.pi / 2 + back + self.rng.normal(0, 0.02))


def _keep_visible(view: np.ndarray, before: np.ndarray, mask: np.ndarray) -> None:
    """Lighten or darken an object that has its ground's very colour."""
    change = np.subtract(cv2.mean(view, mask), cv2.mean(before, mask))[:3]
    if np.abs(change).max() < MIN_CONTRAST:
        push = MIN_CONTRAST if change.mean() >= 0 else -MIN_CONTRAST
        cv2.copyTo(cv2.add(view, (push, push, push, 0)), mask, view)
