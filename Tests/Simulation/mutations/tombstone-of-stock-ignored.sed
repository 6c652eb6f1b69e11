# Rule 6: a reservation comes through after its release.
# in Sources/Commerce/Inventory/OrderReservation.swift
/guard !state\.isBarred(order) else { throw \.barred(order) }/d
