# Rule 10: a cancellation while the order is being confirmed is lost.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentMoves.swift
/private static func whileConfirming/,/^  }/{/case \.cancellationRequested/d;/Move(kind: \.compensating/d;s/case \.started,/case .cancellationRequested, .started,/}
