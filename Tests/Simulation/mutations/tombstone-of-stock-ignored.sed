# Rule 6: a reservation comes through after its release.
# in Sources/Commerce/Inventory/OrderReservation.swift
# found by seed 556
/guard !state\.isBarred(order) else { throw \.barred(order) }/d
