_base_ = '../_base_/faster_rcnn.py'

settings = dict(_delete_=True, **_base_.settings.visdrone)
model = settings['model']
train_dataloader = settings['train_dataloader']
val_dataloader = test_dataloader = settings['val_dataloader']
val_evaluator = test_evaluator = settings['val_evaluator']
