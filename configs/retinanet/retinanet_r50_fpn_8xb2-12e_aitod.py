_base_ = '../_base_/retinanet.py'

settings = dict(_delete_=True, **_base_.settings.aitod)
model = settings['model']
train_dataloader = settings['train_dataloader']
val_dataloader = test_dataloader = settings['val_dataloader']
val_evaluator = test_evaluator = settings['val_evaluator']
