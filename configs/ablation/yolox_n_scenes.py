# The same in YOLOX, at YOLOv5-n's width and depth:
# python tools/ablate.py configs/ablation/yolox_n_scenes.py --out docs/ablation/yolox
_base_ = ['../yolox/yolox_s_8xb8-100e_aitod.py', '../_base_/scenes.py']

custom_imports = dict(imports=['sarl', 'sarl.rivals'])

crop_size = _base_.scenes.crop_size  # width, height
max_epochs = _base_.scenes.max_epochs

# Crops of one size in place of a training at changing sizes, which also makes bytes
# floats; 0 and 1 only do the latter.
to_float = dict(batch_augments=None, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])
model = dict(data_preprocessor=to_float, **_base_.n)
crops = _base_.scenes.train_dataloader.dataset
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(crops, pipeline=[dict(type='LoadImageOnce'), *crops.pipeline[1:]]),
)
val_dataloader = test_dataloader = _base_.scenes.val_dataloader
val_evaluator = test_evaluator = _base_.scenes.evaluator

optim_wrapper = dict(
    type='AutocastOptimWrapper', optimizer=_base_.scenes.optimizer, paramwise_cfg=None
)
param_scheduler = [
    dict(
        type='mmdet.QuadraticWarmupLR', by_epoch=True, end=1, convert_to_iter_based=True
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=1,
        end=max_epochs,
        T_max=max_epochs - 1,
        eta_min_ratio=0.05,
        convert_to_iter_based=True,
    ),
]
default_hooks = _base_.scenes.default_hooks
# All but the switch of pipelines.
custom_hooks = [
    *_base_.custom_hooks[1:],
    dict(type='ChannelsLastHook'),
    dict(type='CUDAGraphHook'),
]
train_cfg = _base_.scenes.train_cfg

scaled = dict(_base_.n.neck)
plain_neck = dict(_base_.model.neck, **scaled)
sarl = dict(
    backbone=_base_.sarl.backbone,
    neck=dict(**_base_.sarl.neck, widen_factor=scaled['widen_factor'], neck=plain_neck),
)
# A level of stride 4 for neck and head. MMYOLO's neck is written for three levels,
# MMDetection's for any number, and takes scaled channels.
strides = [4, *_base_.model.bbox_head.head_module.featmap_strides]
p2_neck = dict(
    type='mmdet.YOLOXPAFPN',
    in_channels=[int(c * scaled['widen_factor']) for c in _base_.sarl.neck.in_channels],
    out_channels=int(plain_neck['out_channels'] * scaled['widen_factor']),
    num_csp_blocks=1,
)
p2_head = dict(
    head_module=dict(featmap_strides=strides),
    prior_generator=dict(type='mmdet.MlvlPointGenerator', offset=0, strides=strides),
)
p2 = dict(
    backbone=_base_.sarl.backbone,
    neck=dict(_delete_=True, **p2_neck),
    bbox_head=p2_head,
)
sarl_p2 = dict(sarl, neck=dict(sarl['neck'], neck=p2_neck), bbox_head=p2_head)

deeper = dict(backbone=dict(deepen_factor=0.42))
spd = dict(
    backbone=dict(
        _delete_=True,
        type='spd_backbone',
        backbone=dict(_base_.model.backbone, **_base_.n.backbone),
    )
)
# BFP as in docs/cost.md; a list of necks renames the keys of the plain one, which then
# starts from weights of its own.
bfp = dict(
    neck=[
        plain_neck,
        dict(
            type='mmdet.BFP',
            in_channels=int(plain_neck['out_channels'] * scaled['widen_factor']),
            num_levels=3,
            refine_level=1,
            refine_type='non_local',
        ),
    ]
)
nwd = dict(
    _delete_=True,
    type='NWDLoss',
    constant=12.8,  # px
    reduction='sum',
    loss_weight=_base_.model.bbox_head.loss_bbox.loss_weight,
)


def sal(**settings):
    loss = dict(_base_.sal.bbox_head.loss_bbox, **settings)
    return dict(model=dict(bbox_head=dict(loss_bbox=loss)))


grid = dict(
    baseline='YOLOX-n',
    seeds=[0, 1, 2],
    held_out=dict(scene=list(range(0, 1600, 8))),
    arms={
        'YOLOX-n + SARL': dict(model=sarl),
        'YOLOX-n + SAL': sal(),
        'YOLOX-n + SARL + SAL': dict(model=dict(**sarl, **_base_.sal)),
        'YOLOX-n, deeper': dict(model=deeper),
        'YOLOX-n + P2 head': dict(model=p2),
        'YOLOX-n + P2 head + SARL': dict(model=sarl_p2),
        'YOLOX-n + P2 head + SARL + SAL': dict(
            model=dict(sarl_p2, bbox_head=dict(p2_head, **_base_.sal.bbox_head))
        ),
        'YOLOX-n + BFP': dict(model=bfp),
        'YOLOX-n + SPD-Conv': dict(model=spd),
        'YOLOX-n + NWD loss': dict(model=dict(bbox_head=dict(loss_bbox=nwd))),
        'YOLOX-n + SAL, not normalised': sal(normalize=False),
    },
)
del to_float, crops, scaled, plain_neck, sarl, strides, p2_neck, p2_head, p2, sarl_p2
del deeper, spd, bfp, nwd
