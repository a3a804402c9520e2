# The same arms at twice the width; on a GPU, which a small model does not fill, many
# runs at once:
# nvidia-cuda-mps-control -d
# python tools/ablate.py configs/ablation/yolov5_s_scenes_70e.py --jobs 16 \
#     --out docs/ablation/yolov5_s
_base_ = './yolov5_n_scenes.py'

max_epochs = 70
widen_factor = 0.5

default_hooks = dict(param_scheduler=dict(max_epochs=max_epochs))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)


def widened(settings):
    changed = {}
    for key, value in settings.items():
        if key == 'widen_factor':
            value = widen_factor
        elif isinstance(value, dict):
            value = widened(value)
        changed[key] = value
    return changed


model = widened(_base_.model)
grid = dict(
    _delete_=True,
    baseline='YOLOv5-s',
    seeds=_base_.grid.seeds,
    held_out=_base_.grid.held_out,
    arms={
        name.replace('YOLOv5-n', 'YOLOv5-s'): widened(difference)
        for name, difference in _base_.grid.arms.items()
    },
)
del widened
