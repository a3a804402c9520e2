"""YOLOv5-s for tiny objects, and what data sets and other sizes change in it."""

_base_ = ['mmyolo::yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py', './yolo.py']

max_epochs = 100

sal_loss = dict(_delete_=True, type='SAL', loss=_base_.model.bbox_head.loss_bbox)
sal = dict(bbox_head=dict(type='SALYOLOv5Head', loss_bbox=sal_loss))


def loss_weights(data, cls, obj):
    """Weigh as the bases do: children do not recompute their arithmetic."""
    cls *= data.num_classes / 80
    obj *= (data.img_scale[0] / 640) ** 2
    return dict(loss_cls=dict(loss_weight=cls), loss_obj=dict(loss_weight=obj))


def pipeline(data, mixup_prob=0):
    mosaic = [
        *data.mosaic,
        dict(
            type='YOLOv5RandomAffine',
            max_rotate_degree=0.0,
            max_shear_degree=0.0,
            # Also for m, l and x: a tenth of the size would erase tiny objects.
            scaling_ratio_range=(1 - _base_.affine_scale, 1 + _base_.affine_scale),
            border=data.border,
            border_val=(114, 114, 114),
            # The default drops what is 2 px wide or less after scaling.
            min_bbox_size=0,
        ),
    ]
    mixup = dict(type='YOLOv5MixUp', prob=mixup_prob, pre_transform=mosaic)
    # The last three: colours, flip and packing.
    return [*mosaic, *[mixup] * (mixup_prob > 0), *_base_.train_pipeline[-3:]]


def p2(anchors):
    """Give neck and head a level of stride 4; its anchors are half of stride 8's."""
    channels = _base_.sarl.neck.in_channels
    strides = [4, *_base_.strides]
    half_anchors = [(width / 2, height / 2) for width, height in anchors[0]]
    return dict(
        backbone=_base_.sarl.backbone,
        neck=dict(in_channels=channels, out_channels=channels),
        bbox_head=dict(
            head_module=dict(in_channels=channels, featmap_strides=strides),
            prior_generator=dict(strides=strides, base_sizes=[half_anchors, *anchors]),
            obj_level_weights=[4.0, *_base_.obj_level_weights],
        ),
    )


def on_data_set(data):
    model = dict(
        bbox_head=dict(
            head_module=dict(num_classes=data.num_classes),
            prior_generator=dict(base_sizes=data.anchors),
            **loss_weights(data, _base_.loss_cls_weight, _base_.loss_obj_weight),
        ),
        test_cfg=dict(max_per_img=data.max_per_img),
    )
    train_dataloader = dict(dataset=dict(pipeline=pipeline(data)))
    if data.get('ignored_regions'):
        model['data_preprocessor'] = dict(type='mmdet.DetDataPreprocessor')
        # With the plain loss. MMYOLO's head ignores a place in one image of the batch.
        model['bbox_head'].update(
            type='SALYOLOv5Head',
            loss_bbox=dict(sal_loss, form='constant'),
            ignore_iof_thr=0.5,
        )
        train_dataloader['collate_fn'] = dict(type='pseudo_collate')
    # As MMYOLO's m differs from its s.
    head = dict(_base_.m.bbox_head, **loss_weights(data, cls=0.3, obj=0.7))
    m = dict(
        model=dict(_base_.m, bbox_head=head),
        train_dataloader=dict(dataset=dict(pipeline=pipeline(data, mixup_prob=0.1))),
        default_hooks=dict(param_scheduler=dict(lr_factor=0.1)),
    )
    return dict(
        model=model, train_dataloader=train_dataloader, m=m, p2=p2(data.anchors)
    )


settings = {name: on_data_set(data) for name, data in _base_.settings.items()}

default_hooks = dict(
    # Three epochs of warm-up; the default, at least 1000 iterations, would be 20 epochs
    # of VisDrone.
    param_scheduler=dict(max_epochs=max_epochs, warmup_mim_iter=100),
    # The last checkpoint is what is reported: no test set picks an epoch.
    checkpoint=dict(save_best=None),
)
custom_hooks = [*_base_.custom_hooks, dict(type='RunRecordHook')]
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=8 * _base_.train_batch_size_per_gpu)
