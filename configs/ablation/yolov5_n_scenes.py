# What SARL and SAL give in YOLOv5-n, beside what a sceptic would try first:
# python tools/ablate.py configs/ablation/yolov5_n_scenes.py
_base_ = '../yolov5/yolov5_n-v61_1xb16-25e_scenes.py'

custom_imports = dict(imports=['sarl', 'sarl.rivals'])

# Read within the process, where a small training set is kept decoded.
train_pipeline = [
    dict(type='LoadImageOnce'),
    *_base_.train_dataloader.dataset.pipeline[1:],
]
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline)
)
custom_hooks = [*_base_.custom_hooks, dict(type='CUDAGraphHook')]

plain = _base_.model
relays = dict(widen_factor=plain.neck.widen_factor, neck=plain.neck)
sarl = dict(backbone=_base_.sarl.backbone, neck=dict(**_base_.sarl.neck, **relays))
# Of the levels that the neck takes; the way from coarse to fine has no use for more.
sarl_8 = dict(sarl['neck'], in_channels=plain.neck.in_channels)

p2 = _base_.settings.p2
p2_neck = dict(plain.neck, **p2.neck)
sarl_p2 = dict(sarl, neck=dict(sarl['neck'], neck=p2_neck), bbox_head=p2.bbox_head)
# The same head, its level of stride 4 made of the backbone's stride 8.
grid_p2 = dict(neck=dict(p2_neck, type='FinerGridPAFPN'), bbox_head=p2.bbox_head)

# One more block at strides 8 and 16 each: about as many parameters and FLOPs as SARL.
deeper = dict(backbone=dict(deepen_factor=0.42))
spd = dict(backbone=dict(_delete_=True, type='spd_backbone', backbone=plain.backbone))
# 12.8 px on the level of stride 8.
nwd = dict(
    _delete_=True,
    type='NWDLoss',
    constant=1.6,
    bbox_format='xywh',
    return_iou=True,
    loss_weight=plain.bbox_head.loss_bbox.loss_weight,
)


def box_loss(times):
    loss = plain.bbox_head.loss_bbox
    return dict(loss, loss_weight=times * loss.loss_weight)


def relay(**settings):
    return dict(model=dict(sarl, neck=dict(sarl['neck'], **settings)))


def sal(**settings):
    loss = dict(_base_.sal.bbox_head.loss_bbox, **settings)
    return dict(model=dict(bbox_head=dict(_base_.sal.bbox_head, loss_bbox=loss)))


grid = dict(
    baseline='YOLOv5-n',
    seeds=[0, 1, 2],
    # Every fourth of the scenes to train on, which have even numbers.
    held_out=dict(scene=list(range(0, 1600, 8))),
    arms={
        'YOLOv5-n + SARL': dict(model=sarl),
        'YOLOv5-n + SAL': sal(),
        'YOLOv5-n + SARL + SAL': dict(model=dict(**sarl, **_base_.sal)),
        'YOLOv5-n, deeper': dict(model=deeper),
        'YOLOv5-n + P2 head': dict(model=p2),
        'YOLOv5-n + P2 head + SARL': dict(model=sarl_p2),
        'YOLOv5-n + P2 head + SARL + SAL': dict(
            model=dict(sarl_p2, bbox_head=dict(p2.bbox_head, **_base_.sal.bbox_head))
        ),
        'YOLOv5-n + P2 head, from stride 8': dict(model=grid_p2),
        'YOLOv5-n + SPD-Conv': dict(model=spd),
        'YOLOv5-n + NWD loss': dict(model=dict(bbox_head=dict(loss_bbox=nwd))),
        # To choose by, on the held-out scenes.
        'SARL, no gates': relay(relay=dict(type='gate', gates='none')),
        'SARL, spatial gate': relay(relay=dict(type='gate', gates='spatial')),
        'SARL, channel gate': relay(relay=dict(type='gate', gates='channel')),
        'SARL, pick': relay(relay=dict(type='pick')),
        'SARL, mix': relay(relay=dict(type='mix')),
        'SARL, strided convolution': relay(resample='strided_conv'),
        'SARL, both ways': relay(towards='both'),
        'SARL, from stride 8': dict(model=dict(neck=sarl_8)),
        'SARL, from stride 8, to the finer': dict(
            model=dict(neck=dict(sarl_8, towards='fine'))
        ),
        'SARL, behind the neck': relay(place='after'),
        'SARL, behind the neck, + SAL': dict(
            model=dict(**relay(place='after')['model'], **_base_.sal)
        ),
        'SARL, around the neck': relay(place='around'),
        'SARL, width 256': relay(width=256),
        'SARL, kernel of 3': relay(kernel_size=3),
        'SARL, from stride 2': dict(
            model=dict(
                backbone=dict(out_indices=(0, 1, 2, 3, 4)),
                neck=dict(sarl['neck'], in_channels=[64, *p2.neck.in_channels]),
            )
        ),
        'SAL, not normalised': sal(normalize=False),
        # Large objects keep their weight, small ones weigh up to twice as much.
        'SAL, small objects more': sal(normalize=False, loss=box_loss(2)),
        'box loss twice': dict(model=dict(bbox_head=dict(loss_bbox=box_loss(2)))),
        'box loss halved': dict(model=dict(bbox_head=dict(loss_bbox=box_loss(0.5)))),
        'SAL, floor 0': sal(floor=0.0),
        'SAL, power': sal(form='power'),
        'SAL, logarithmic': sal(form='logarithmic'),
        'SAL, step': sal(form='step'),
        'SAL, area': sal(measure='area'),
        'SAL, adaptive': dict(
            **sal(reference='adaptive'),
            custom_hooks=[*custom_hooks, dict(type='SALHook')],
        ),
    },
)
del plain, relays, sarl, sarl_8, p2, p2_neck, sarl_p2, grid_p2, deeper, spd, nwd
