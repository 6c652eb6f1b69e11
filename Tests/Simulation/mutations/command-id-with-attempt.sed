# Rule 2: a command that is sent again has another id.
# in Sources/EventSourcing/Sagas/ProcessManager.swift
# found by seed 12
s|CommandID(effect: effectID)|CommandID(effect: "\\(effectID) \\(Timestamp.now)")|
