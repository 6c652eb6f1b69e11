# Rule 7: the second of two blocked undos is not waited for.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentCompensation.swift
/if state\.definition\.waitsForOpenPayment, !state\.blocked\.isEmpty { return \.compensationBlocked }/d
