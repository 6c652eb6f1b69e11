# Rule 1: what a command appends is not built on the saga's commit, and may be there without it.
# in Sources/EventSourcing/Sagas/SagaHandler.swift
# found by seed 2
s/AppendTicket\.\$preceding\.withValue(ticket)/AppendTicket.$preceding.withValue(nil)/
