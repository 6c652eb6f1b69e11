# Rule 6: a payment comes through after its refund.
# in Sources/Commerce/Payments/Payments.swift
# found by seed 2519
s/return state\.initiated == nil ? \[\.initiated(try checked(payment))\] : \[\]/return state.initiated == nil || state.status == .voided ? [.initiated(try checked(payment))] : []/; s/if state\.isBarred { throw \.voided }/break/
