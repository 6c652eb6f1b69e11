# Rule 1: a command whose sender has died is not sent again.
# in Sources/EventSourcing/Sagas/SagaHandler.swift
# found by seed 6
s/guard Self\.isToBeCarriedOut(event) else { return nil }/guard Self.isToBeCarriedOut(event), event.position == .start else { return nil }/
