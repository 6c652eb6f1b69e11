# Rule 6: what is charged after the payment was given up is kept.
# in Sources/Commerce/Payments/Payments.swift
# found by seed 29
s/case \.failed: state\.possiblyCharged/case .failed: false/
