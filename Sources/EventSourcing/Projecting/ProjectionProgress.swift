/// Which collection serves a projection, and how far it has come. One document: the pointer, the
/// checkpoint and the lease of whoever drives it.
public struct ProjectionProgress: Sendable, Hashable {
  /// The read model's name; of a rebuild under way, see ``rebuildName(of:)``.
  public var projection: String
  /// Counts rebuilds, from 1. `orders` of generation 2 is kept in `orders__v2`.
  public var generation: Int
  /// Which fold made the rows: ``Projection/version``.
  public var version: Int
  /// Everything up to here is in the rows.
  public var position: Position
  /// Why the projection has stopped, if it has.
  public var failure: String?
  /// The event that it has stopped at.
  public var parked: ParkedEvent?
  /// The generation that served before this one, to be dropped when nobody reads it any more.
  public var replaced: Int?
  /// Whether no row can be ahead of `position`: who drove last has ended in peace.
  public var isSettled: Bool
  /// Of a rebuild under way: rows may be ahead of `position`, up to here.
  public var reached: Position?

  public init(
    projection: String, generation: Int, version: Int = 1, position: Position,
    failure: String? = nil, parked: ParkedEvent? = nil, replaced: Int? = nil,
    isSettled: Bool = false, reached: Position? = nil
  ) {
    self.projection = projection
    self.generation = generation
    self.version = version
    self.position = position
    self.failure = failure
    self.parked = parked
    self.replaced = replaced
    self.isSettled = isSettled
    self.reached = reached
  }

  public var collection: String { Self.collection(readModel, generation) }

  /// The rows that served before, if any.
  var replacedCollection: String? { replaced.map { Self.collection(readModel, $0) } }

  public static func collection(_ projection: String, _ generation: Int) -> String {
    "\(projection)__v\(generation)"
  }

  private static let rebuildSuffix = ".rebuild"

  /// Under which name the progress of a projection's rebuild is kept. No projection can have it:
  /// names hold no point.
  public static func rebuildName(of projection: String) -> String { projection + rebuildSuffix }

  private var readModel: String {
    projection.hasSuffix(Self.rebuildSuffix)
      ? String(projection.dropLast(Self.rebuildSuffix.count)) : projection
  }
}

/// An event that a projection could not apply, with the reason.
public struct ParkedEvent: Sendable, Hashable {
  public var position: Position
  /// As text.
  public var eventID: String
  public var type: String
  public var stream: StreamName
  public var reason: String
  /// When the projection stopped at it for the first time.
  public var since: Timestamp

  public init(
    position: Position, eventID: String, type: String, stream: StreamName, reason: String,
    since: Timestamp
  ) {
    self.position = position
    self.eventID = eventID
    self.type = type
    self.stream = stream
    self.reason = reason
    self.since = since
  }

  init(_ poison: ProjectionPoisoned, since: Timestamp) {
    self.init(
      position: poison.position, eventID: poison.event.eventID.text, type: poison.event.type,
      stream: poison.event.stream, reason: poison.reason, since: since)
  }
}

/// The right to drive a projection, for a limited time. Progress that is saved under a lease that
/// somebody else has taken meanwhile is refused: the token is a fencing token.
public struct Lease: Sendable, Hashable {
  public let name: String
  public let owner: String
  /// Rises with every acquisition.
  public let token: Int64

  public init(name: String, owner: String, token: Int64) {
    self.name = name
    self.owner = owner
    self.token = token
  }
}

/// From whom a lease may be taken.
public enum LeaseTakeover: Sendable {
  /// When nobody holds it any more.
  case whenFree
  /// The same, and when its owner is known to be dead before its time is over.
  case whenFreeOrDead(@Sendable (_ owner: String) -> Bool)
}

/// What became of a lease.
public enum LeaseState: Sendable, Hashable {
  case held
  /// Held, and somebody asks for it.
  case wanted
  case lost
}

/// Somebody else has the lease, or may have it: nothing more may be written under it.
public struct LeaseLost: Error, Sendable {
  public init() {}
}

/// A lease that was acquired, and the progress that is continued under it.
public struct LeasedProgress: Sendable {
  public var lease: Lease
  public var progress: ProjectionProgress

  public init(lease: Lease, progress: ProjectionProgress) {
    self.lease = lease
    self.progress = progress
  }
}

/// Who holds a projection's lease, for operators.
public struct LeaseHolder: Sendable, Hashable {
  public var owner: String
  public var token: Int64
  /// Whether its time is over.
  public var isExpired: Bool

  public init(owner: String, token: Int64, isExpired: Bool) {
    self.owner = owner
    self.token = token
    self.isExpired = isExpired
  }
}
