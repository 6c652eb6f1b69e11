import EventSourcing

extension CommandHandler {
  /// The state with `event` in it: one that was cached before another process wrote the event is
  /// read again.
  func state(after event: Recorded) async throws -> D.State {
    let id = event.stream.id
    let (cached, version) = try await state(of: id)
    if version >= event.version { return cached }
    forget([id])
    return try await state(of: id).state
  }
}
