_base_ = './rtmdet_s_8xb32-100e_aitodv2.py'

model = _base_.sal
