"""The data sets: where they are, what they hold, how they are scored.

A config takes one row of this table, to which its family adds what follows from it.
"""


def coco_format(type, root, train, val, metric):
    """Describe COCO-format data; a split is its annotation file and image folder."""

    def split(ann_file, images):
        return dict(
            type=type, data_root=root, ann_file=ann_file, data_prefix=dict(img=images)
        )

    return dict(
        train=split(*train),
        val=split(*val),
        evaluator=dict(type=metric, ann_file=root + val[0]),
    )


aitod = dict(
    num_classes=8,
    img_scale=(800, 800),  # width, height of what is trained on
    # An anchor takes objects from a quarter to four times its size.
    anchors=[
        [(5, 5), (8, 12), (13, 8)],  # P3/8
        [(14, 14), (20, 28), (32, 18)],  # P4/16
        [(36, 36), (48, 80), (96, 60)],  # P5/32
    ],
    # Images hold up to 2,667 objects; the metric counts 1500 detections.
    max_per_img=1500,
)


def aitod_version(type, train, val):
    splits = [
        (f'annotations/{name}.json', f'images/{folder}/')
        for name, folder in ((train, 'trainval'), (val, 'test'))
    ]
    return coco_format(type, 'data/AI-TOD/', *splits, 'AITODMetric')


settings = dict(
    aitod=dict(
        **aitod,
        **aitod_version('AITODDataset', 'aitod_trainval_v1', 'aitod_test_v1'),
    ),
    aitodv2=dict(
        **aitod,
        **aitod_version('AITODv2Dataset', 'aitodv2_trainval', 'aitodv2_test'),
    ),
    dotav2=dict(
        num_classes=18,
        img_scale=(1024, 1024),
        anchors=[
            [(7, 7), (16, 11), (12, 22)],
            [(26, 22), (44, 24), (26, 48)],
            [(58, 58), (130, 96), (230, 260)],
        ],
        max_per_img=1500,
        **coco_format(
            'DOTAv2Dataset',
            'data/dota_tiles/',
            ('train/annotations.json', 'train/images/'),
            ('val/annotations.json', 'val/images/'),
            'AITODMetric',
        ),
    ),
    visdrone=dict(
        num_classes=10,
        img_scale=(1024, 1024),
        anchors=[
            [(5, 8), (8, 16), (16, 11)],
            [(14, 28), (28, 20), (26, 44)],
            [(50, 34), (60, 74), (118, 92)],
        ],
        # The official scores count 500 detections, of all classes together.
        max_per_img=500,
        ignored_regions=True,
        **coco_format(
            'VisDroneDataset',
            'data/visdrone/',
            ('annotations/train.json', 'VisDrone2019-DET-train/images/'),
            ('annotations/val.json', 'VisDrone2019-DET-val/images/'),
            'VisDroneMetric',
        ),
    ),
)
del aitod
