# Rule 2: each attempt asks the provider under an id of its own.
# in Sources/Sagas/Reactors/PaymentReactor.swift
# found by seed 6
s|effectID: payment.effectID, orderID: payment.orderID, userID|effectID: "\\(payment.effectID)/\\(clock.now())", orderID: payment.orderID, userID|
