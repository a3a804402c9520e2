# The same arms for four times the epochs, as in YOLOv5:
# python tools/ablate.py configs/ablation/yolox_n_scenes_100e.py \
#     --out docs/ablation/yolox_longer
_base_ = './yolox_n_scenes.py'

max_epochs = 100

warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=max_epochs, T_max=max_epochs - 1)]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
del warmup, cosine
