# Rule 10: a cancellation while the buyer is being told is lost.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentMoves.swift
# found by seed 57
/private static func whileNotifying/,/^  }/{/case \.cancellationRequested/d;s/case \.started,/case .cancellationRequested, .started,/}
