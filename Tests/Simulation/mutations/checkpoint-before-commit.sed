# Rule 3: the checkpoint passes events that are read and not yet handled.
# in Sources/EventSourcing/Processes/SubscriptionWindow.swift
# found by seed 11
s/outstanding == 0 ? readThrough : doneThrough/readThrough/
