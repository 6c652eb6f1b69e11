# Rule 7: the second of two blocked undos is not waited for.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentCompensation.swift
# found by seed 339
/if state\.definition\.waitsForOpenPayment, !state\.blocked\.isEmpty { return \.compensationBlocked }/d
