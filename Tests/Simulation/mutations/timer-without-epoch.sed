# Rule 8: a timer does its work although the saga has moved on.
# in Sources/Sagas/OrderFulfilment/OrderFulfilment.swift
# found by seed 19
s/guard let timer = state\.timer, timer\.epoch == epoch, timer\.due <= input\.at else/guard epoch > 0 else/
