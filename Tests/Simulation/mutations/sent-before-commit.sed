# Rule 1: a saga's commands are sent before its commit is there.
# in Sources/EventSourcing/Sagas/SagaHandler.swift
# found by seed 1
s/^    let outcome = try await carryOut(cause, on: id, cause: event)/    let early = SagaInput(cause, saga: id, at: clock(), settings: settings)\n    for next in (try? await Saga<P>.decide(early, sagas.state(of: id).state)) ?? [] {\n      for command in (try? OutgoingCommand.commands(in: next.data)) ?? [] { try? await dispatcher.dispatch(command, causation: CommandCause(event)) }\n    }\n&/
