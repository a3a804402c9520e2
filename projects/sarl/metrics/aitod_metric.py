"""AI-TOD's protocol: COCO's AP with bins for tiny objects.

Reference: Wang et al. 2021, "Tiny Object Detection in Aerial Images", ICPR, and
its evaluation code, github.com/jwwangchn/cocoapi-aitod. Areas are in px^2 of the
original image, ground truth's from its `area` field, detections' from w * h; both
bounds of a bin belong to it.
"""

from collections.abc import Sequence

from ..registry import register_metric
from .boxes import Detections, Objects
from .coco_protocol import AITOD, Protocol, score
from .detection_metric import DetectionMetric


@register_metric
class AITODMetric(DetectionMetric):
    """Score detections by AI-TOD's protocol, or by COCO's with other bins and caps.

    The keys are `aitod/AP`, `AP_50`, `AP_75`, `AP_vt` (up to 8 x 8 px), `AP_t` (up to
    16 x 16), `AP_s` (up to 32 x 32), `AP_m` (above), `AR_1`, `AR_100`, `AR_1500`,
    `AR_vt`, `AR_t`, `AR_s`, `AR_m`, `oLRP`, `oLRP_Loc`, `oLRP_FP`, `oLRP_FN` (errors:
    less is better), each with the prefix; fractions, -1 where there is nothing to
    find.

    Args:
        ann_file (str): The COCO-format ground truth.
        area_ranges (dict[str, tuple[float, float]]): Bins of area in px^2, bounds
            included.
        max_dets (Sequence[int]): Caps on the detections that count, per image and
            per class. The last one is that of every AP and of oLRP.
        backend (str): 'faster_coco_eval' or 'pycocotools'; they give the same.
        **kwargs: Those of `DetectionMetric`.

    Raises:
        InputError: As in `DetectionMetric`.
    """

    default_prefix = 'aitod'

    def __init__(
        self,
        ann_file: str,
        area_ranges: dict[str, tuple[float, float]] = AITOD.area_ranges,
        max_dets: Sequence[int] = AITOD.max_dets,
        backend: str = AITOD.backend,
        **kwargs,
    ) -> None:
        super().__init__(ann_file, **kwargs)
        self.protocol = Protocol(dict(area_ranges), tuple(max_dets), backend)

    def score(
        self, detections: Detections, classes: Sequence[str]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Score detections, see `DetectionMetric.score`."""
        objects = Objects.from_coco(
            self.coco, self.image_ids, self.coco.get_cat_ids(classes)
        )
        scores = score(objects, detections, len(classes), self.protocol)
        return scores.rows(self.protocol), {
            name: scores.of_class(label).rows(self.protocol)
            for label, name in enumerate(classes)
        }

    def described(self) -> dict:
        """What the scores depend on, for JSON."""
        return self.protocol.described()
