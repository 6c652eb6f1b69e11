# Rule 3: the checkpoint passes events that are read and not yet handled.
# in Sources/EventSourcing/Processes/SubscriptionWindow.swift
s/outstanding == 0 ? readThrough : doneThrough/readThrough/
