# Rule 8: who takes over knows nothing of the timers that were set before.
# in Sources/EventSourcing/Sagas/TimerKeeper.swift
# found by seed 29
s/while next <= position {/while next < from {/
