"""Scores that others have published: theirs, none of them is measured here."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..metrics.report import AITOD_COLUMNS


@dataclass
class Published:
    """A published row, all of it from one source.

    Args:
        method (str): The detector.
        source (str): Where it is published.
        scores (dict[str, float]): Percent by name, see `AITOD_COLUMNS`; a source may
            give the first few only.
    """

    method: str
    source: str
    scores: dict[str, float]


@dataclass
class Benchmark:
    """Published rows, and what a run has to be scored on to stand beside them.

    Args:
        name (str): Data set, split and protocol.
        evaluator (str): Type of the metric that follows the protocol.
        split (str): Word that names the split in the name of its annotation file.
        rows (list[Published]): The rows.
    """

    name: str
    evaluator: str
    split: str
    rows: list[Published]


def _rows(*table: tuple[str, str, Sequence[float]]) -> list[Published]:
    return [
        Published(method, source, dict(zip(AITOD_COLUMNS, scores, strict=False)))
        for method, source, scores in table
    ]


_RFLA = 'mmdet-rfla'
_WANG = 'mmdet-aitod'
_DNTR = 'DNTR README'
_SFDNET = 'SFDNet README'
_DQ_DETR = 'DQ-DETR README'
_DOME_DETR = 'Dome-DETR README'
_SMALLDET = 'PaddleDetection smalldet'
_HRD_YOLO = 'HRD-YOLO README'

# By the data set's type in a config.
BENCHMARKS = {
    'AITODDataset': Benchmark(
        'AI-TOD test',
        'AITODMetric',
        'test',
        _rows(
            ('Faster R-CNN R50', _RFLA, (11.1, 26.3, 7.6, 0.0, 7.2, 23.3, 33.6)),
            ('FCOS', _RFLA, (12.6, 30.4, 8.1, 2.3, 12.2, 17.2, 25.0)),
            ('ATSS', _DNTR, (12.8, 30.6, 8.5, 1.9, 11.6, 19.5, 29.2)),
            ('Cascade R-CNN', _SFDNET, (13.8, 30.8, 10.5, 0.0, 10.5, 25.5, 36.6)),
            ('DetectoRS', _RFLA, (14.8, 32.8, 11.4, 0.0, 10.8, 28.3, 38.0)),
            ('FCOS with P2', _RFLA, (15.4, 36.3, 10.9, 6.0, 17.6, 18.5, 20.7)),
            (
                'Faster R-CNN R50, anchor scales 1, 2, 3, 4, 8',
                'mmdet-rfla#4',
                (20.9,),
            ),
            ('Faster R-CNN, RFLA', _RFLA, (21.1, 51.6, 13.1, 9.5, 21.2, 26.1, 31.5)),
            ('DetectoRS, NWD-RKA', _DNTR, (23.4, 53.5, 16.8, 8.7, 23.8, 28.5, 36.0)),
            ('DetectoRS, RFLA', _RFLA, (24.8, 55.2, 18.5, 9.3, 24.8, 30.3, 38.2)),
            ('HS-FPN', _SFDNET, (25.1, 55.7, 19.1, 12.1, 25.3, 29.9, 36.9)),
            ('DNTR', _DNTR, (27.2, 56.3, 21.8, 15.2, 27.4, 31.9, 38.5)),
            ('SFDNet', _SFDNET, (29.0, 57.9, 23.5, 14.4, 29.0, 33.4, 40.8)),
        ),
    ),
    'AITODv2Dataset': Benchmark(
        'AI-TOD-v2 test',
        'AITODMetric',
        'test',
        _rows(
            ('Faster R-CNN', _WANG, (12.8, 29.9, 9.4, 0.0, 9.2, 24.6, 37.0)),
            ('FCOS', _RFLA, (13.4, 32.4, 8.8, 2.5, 12.4, 19.0, 26.7)),
            ('DetectoRS', _WANG, (16.1, 35.5, 12.5, 0.1, 12.6, 28.3, 40.0)),
            ('DetectoRS, NWD-RKA', _WANG, (24.7, 57.4, 17.1, 9.7, 24.2, 29.3, 39.3)),
            ('DetectoRS, RFLA', _RFLA, (25.7, 58.9, 18.8, 9.2, 25.5, 30.2, 40.2)),
            ('DINO-DETR', _DQ_DETR, (25.9, 61.3, 17.5, 12.7, 25.3, 32.0, 39.7)),
            ("SARL + SAL, the paper's own", 'arXiv 2511.09891, abstract', (29.0,)),
            ('DQ-DETR', _DQ_DETR, (30.5, 69.2, 22.7, 15.2, 30.9, 36.8, 45.5)),
            ('Dome-DETR-S', _DOME_DETR, (32.1,)),
            ('Dome-DETR-M', _DOME_DETR, (34.0,)),
            ('Dome-DETR-L', _DOME_DETR, (34.7,)),
        ),
    ),
    'DOTAv2Dataset': Benchmark(
        'DOTA-v2.0 val, horizontal boxes',
        'AITODMetric',
        'val',
        _rows(
            ('Faster R-CNN', _WANG, (35.6, 59.5, 37.2, 0.0, 7.1, 28.9, 42.1)),
            (
                'Faster R-CNN, NWD-RKA',
                _WANG,
                (36.4, 61.5, 37.6, 1.5, 10.4, 29.4, 43.2),
            ),
            ('DetectoRS', _WANG, (40.8, 62.6, 44.4, 0.0, 7.0, 29.9, 47.8)),
            ('DetectoRS, NWD-RKA', _WANG, (41.9, 66.3, 44.4, 1.9, 10.6, 30.3, 48.5)),
        ),
    ),
    'VisDroneDataset': Benchmark(
        "VisDrone2019-DET val, COCO's protocol",
        'VisDroneMetric',
        'val',
        _rows(
            ('FBRT-YOLO-N', _HRD_YOLO, (20.2,)),
            ('PP-YOLOE-s, 640 px', _SMALLDET, (23.5, 39.9)),
            ('FBRT-YOLO-S', f'{_HRD_YOLO}; elsewhere given as 18.3', (25.9,)),
            ('FBRT-YOLO-M', _HRD_YOLO, (28.4,)),
            ('PP-YOLOE-l, 640 px', _SMALLDET, (29.2, 47.3)),
            ('FBRT-YOLO-L', _HRD_YOLO, (29.7,)),
            ('FBRT-YOLO-X', _HRD_YOLO, (30.1,)),
            ('PP-YOLOE-SOD-l, 640 px', _SMALLDET, (31.9, 52.1)),
            ('DNTR', _DNTR, (34.4, 57.9, 35.3)),
            ('Dome-DETR-S', _DOME_DETR, (35.9,)),
            ('Dome-DETR-M', _DOME_DETR, (38.9,)),
            ('Dome-DETR-L', _DOME_DETR, (39.0,)),
        ),
    ),
}
