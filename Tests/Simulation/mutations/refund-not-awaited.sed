# Rule 7: the stock is released while the refund is still open.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentDefinition.swift
# found by seed 19
s/var waitsForOpenPayment: Bool { self != \.v1 }/var waitsForOpenPayment: Bool { false }/
