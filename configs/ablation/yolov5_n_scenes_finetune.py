# What SARL and SAL add to a plain detector that has learned for 100 epochs, beside one
# that goes on without them:
# python tools/ablate.py configs/ablation/yolov5_n_scenes_finetune.py \
#     --out docs/ablation/finetune
_base_ = './yolov5_n_scenes.py'

grid = dict(start='yolov5_n_scenes_100e.py')
