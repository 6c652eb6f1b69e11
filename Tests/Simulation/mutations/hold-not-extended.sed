# Rule 14: a hold is extended until the time that it has already.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentTiming.swift
# found by seed 548
s/extendUntil = now\.adding(seconds: settings\.holdSeconds)/extendUntil = state.holdUntil ?? now.adding(seconds: settings.holdSeconds)/
