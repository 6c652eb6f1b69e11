# Rule 14: an order that is short of one product gets the others all the same.
# in Sources/Commerce/Inventory/OrderReservation.swift
# found by seed 4
s/return short\.isEmpty ? reserved : short/return reserved.isEmpty ? short : reserved/
