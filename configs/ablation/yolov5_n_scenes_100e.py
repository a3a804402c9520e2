# The same arms for four times the epochs: whether what an arm gains outlasts a plain
# detector that has learned for longer:
# python tools/ablate.py configs/ablation/yolov5_n_scenes_100e.py \
#     --out docs/ablation/longer
_base_ = './yolov5_n_scenes.py'

max_epochs = 100

default_hooks = dict(param_scheduler=dict(max_epochs=max_epochs))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
