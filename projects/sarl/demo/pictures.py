"""Pictures of ground truth and two detectors side by side."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..analysis import Matches
from ..files import write_whole

# BGR
WHITE = (255, 255, 255)
HIT = (80, 220, 80)
FALSE_ALARM = (60, 60, 255)
MISSED = (0, 200, 255)
PANEL = 640  # px, the longer side of a panel
CAPTION = 30  # px


def most_different(
    first: dict[int, Matches], second: dict[int, Matches], count: int
) -> list[int]:
    """Find the images on which two detectors' F1 differ most, whoever is ahead.

    Args:
        first (dict[int, Matches]): Of one detector, by image id.
        second (dict[int, Matches]): Of the other one.
        count (int): How many images.

    Returns:
        list[int]: Image ids, most different first.
    """

    def difference(image_id: int) -> float:
        return abs(first[image_id].f1 - second[image_id].f1)

    return sorted(first, key=difference, reverse=True)[:count]


def _panel(
    image: np.ndarray, caption: str, layers: Sequence[tuple[list, tuple]]
) -> np.ndarray:
    scale = PANEL / max(image.shape[:2])
    panel = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    for boxes, colour in layers:
        for x, y, w, h in boxes:
            # A margin of one pixel keeps the line off the object.
            corners = np.array([x - 1, y - 1, x + w + 1, y + h + 1]) * scale
            left, top, right, bottom = corners.round().astype(int).tolist()
            cv2.rectangle(panel, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
    strip = np.zeros((CAPTION, panel.shape[1], 3), np.uint8)
    cv2.putText(
        strip, caption, (8, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.5, WHITE, 1, cv2.LINE_AA
    )
    return np.vstack([strip, panel])


def draw_comparison(
    image_path: Path,
    truth: list[list[float]],
    detectors: dict[str, Matches],
    out: Path,
) -> None:
    """Write one picture: ground truth, then each detector's hits and errors.

    Args:
        image_path (Path): The image.
        truth (list[list[float]]): Ground-truth boxes [x, y, w, h] in px.
        detectors (dict[str, Matches]): By the detector's name.
        out (Path): The picture to write.
    """
    image = cv2.imread(str(image_path))
    panels = [_panel(image, f'ground truth: {len(truth)} objects', [(truth, WHITE)])]
    for name, match in detectors.items():
        caption = (
            f'{name}: {len(match.hits)} found (green), {len(match.missed)} missed '
            f'(yellow), {len(match.false_alarms)} false (red)'
        )
        layers = [
            (match.missed, MISSED),
            (match.false_alarms, FALSE_ALARM),
            (match.hits, HIT),
        ]
        panels.append(_panel(image, caption, layers))
    gap = np.full((panels[0].shape[0], 6, 3), 255, np.uint8)
    row = [part for panel in panels for part in (gap, panel)][1:]
    out.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(out.suffix, np.hstack(row))
    write_whole(out, encoded.tobytes())
