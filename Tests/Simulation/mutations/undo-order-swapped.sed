# Rule 7: what was done first is undone first.
# in Sources/Sagas/OrderFulfilment/OrderFulfilmentCompensation.swift
# found by seed 6
s/steps\.last { \$0\.compensation != nil/steps.first { $0.compensation != nil/
