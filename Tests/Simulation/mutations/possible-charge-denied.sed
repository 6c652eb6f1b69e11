# Rule 5: a payment without an answer at its deadline counts as declined.
# in Sources/Sagas/Reactors/PaymentReactor.swift
# found by seed 29
s/did not answer in time", possiblyCharged: true/did not answer in time", possiblyCharged: false/
