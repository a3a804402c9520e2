_base_ = './rtmdet_s_sarl_8xb32-100e_visdrone.py'

model = _base_.sal
