/// What operators do to a projection that has stopped. Each act is an event of the stream
/// `projections/<name>` with who did it and why: the log itself is the audit, and a rebuild skips
/// what was skipped live.
public struct ProjectionOperations: Sendable {
  public static let category = "projections"
  public static let skippedType = "ProjectionEventSkipped"
  public static let resumedType = "ProjectionResumed"

  /// Why an act was refused.
  public enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    case notStopped(String)
    case stoppedElsewhere(String, at: Position)
    case reasonMissing

    public var description: String {
      switch self {
      case .notStopped(let name): "\(name) has not stopped"
      case .stoppedElsewhere(let name, let position): "\(name) has stopped at position \(position)"
      case .reasonMissing: "say why: the reason is recorded"
      }
    }
  }

  /// An event that a projection leaves out, and who said so.
  public struct Skipped: Sendable, Hashable {
    public var position: Position
    /// Where in the log the act itself is.
    public var recordedAt: Position
    public var reason: String
    public var by: String
    public var at: Timestamp
  }

  /// What was done to a projection so far.
  public struct History: Sendable {
    public var skipped: [Skipped] = []
    /// Of the stream: rises with every act.
    public var version: Version = .none

    public var positions: Set<Position> { Set(skipped.map(\.position)) }
  }

  private let log: any EventLog
  private let store: any ReadModelStore

  public init(log: any EventLog, store: any ReadModelStore) {
    self.log = log
    self.store = store
  }

  public static func stream(of projection: String) -> StreamName {
    StreamName(category: category, id: projection)
  }

  public static func history(of projection: String, in log: any EventLog) async throws -> History {
    var history = History()
    for event in try await log.stream(stream(of: projection)) {
      history.version = event.version
      // What somebody has appended by hand in another shape is nobody's act.
      guard event.type == skippedType, let position = try? event.data.integer("position"),
        let reason = try? event.data.string("reason")
      else { continue }
      history.skipped.append(
        Skipped(
          position: Position(position), recordedAt: event.position, reason: reason,
          by: (try? event.data.string("by")) ?? "", at: event.timestamp))
    }
    return history
  }

  /// Leaves out the event that a projection has stopped at, for good. Done twice it is done once.
  /// - Parameter position: where it has stopped, so that nobody skips what he has not seen.
  /// - Returns: where in the log the act is.
  /// - Throws: ``Refusal``.
  @discardableResult
  public func skip(
    _ projection: String, at position: Position, reason: String, by operator: String,
    context: CommitContext
  ) async throws -> Position {
    let parked = try await parked(projection, reason: reason)
    guard parked.position == position else {
      throw Refusal.stoppedElsewhere(projection, at: parked.position)
    }
    // The driver has not looked yet.
    let history = try await Self.history(of: projection, in: log)
    if let done = history.skipped.first(where: { $0.position == position }) {
      return done.recordedAt
    }
    return try await append(
      Self.skippedType,
      [
        "projection": .string(projection), "position": .integer(position.rawValue),
        "event_id": .string(parked.eventID), "event_type": .string(parked.type),
        "failure": .string(parked.reason), "reason": .string(reason), "by": .string(`operator`),
      ], to: projection, context)
  }

  /// Has a projection try again at the event that it has stopped at: after a mend.
  /// - Throws: ``Refusal``.
  @discardableResult
  public func resume(
    _ projection: String, reason: String, by operator: String, context: CommitContext
  ) async throws -> Position {
    let parked = try await parked(projection, reason: reason)
    return try await append(
      Self.resumedType,
      [
        "projection": .string(projection), "position": .integer(parked.position.rawValue),
        "reason": .string(reason), "by": .string(`operator`),
      ], to: projection, context)
  }

  private func parked(_ projection: String, reason: String) async throws -> ParkedEvent {
    guard reason.contains(where: { !$0.isWhitespace }) else { throw Refusal.reasonMissing }
    guard let parked = try await store.progress(of: projection)?.parked else {
      throw Refusal.notStopped(projection)
    }
    return parked
  }

  private func append(
    _ type: String, _ data: Fields, to projection: String, _ context: CommitContext
  ) async throws -> Position {
    let event = ProposedEvent(stream: Self.stream(of: projection), type: type, data: data)
    let appended = try await log.append(ProposedCommit(context: context, events: [event]))
    return appended.commit.header.lastPosition
  }
}
