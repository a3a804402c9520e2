# The same in YOLOX:
# python tools/ablate.py configs/ablation/yolox_n_scenes_finetune.py \
#     --out docs/ablation/yolox_finetune
_base_ = './yolox_n_scenes.py'

grid = dict(start='yolox_n_scenes_100e.py')
