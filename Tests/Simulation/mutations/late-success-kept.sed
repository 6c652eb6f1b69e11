# Rule 5: a payment that is possibly charged counts as not charged.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentCompensation.swift
# found by seed 29
s/if mayBeCharged || after\.payment == \.charging {/if after.payment == .charging, !mayBeCharged {/
