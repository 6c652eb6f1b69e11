/// The process that leases are held in.
public struct LeaseProcess: Sendable {
  private let name: String
  private let isDead: @Sendable (_ process: String) -> Bool

  /// - Parameters:
  ///   - name: of this process.
  ///   - isDead: whether another one is known to be dead, so that its leases need not be waited
  ///     for. In doubt it is not: of two who write at a time each would upset the other.
  public init(_ name: String, isDead: @escaping @Sendable (_ process: String) -> Bool) {
    self.name = name
    self.isDead = isDead
  }

  /// Nobody can tell whether it is alive.
  public static let anonymous = LeaseProcess("anonymous") { _ in false }

  /// Whether the process of a lease's owner is known to be dead.
  public func isDead(owner: String) -> Bool {
    guard let mark = owner.lastIndex(of: "#") else { return false }
    return isDead(String(owner[..<mark]))
  }

  /// One of those in this process who hold leases: each has a name of its own.
  func newOwner() -> LeaseOwner {
    let own = "\(name)#\(CommandID.random().uuid.text.suffix(12))"
    return LeaseOwner(name: own) { $0 == own || isDead(owner: $0) }
  }
}

/// Somebody who holds leases.
struct LeaseOwner: Sendable {
  let name: String
  /// Whether a lease may be taken before its time is over: from the dead, and from oneself.
  let mayTakeFrom: @Sendable (_ owner: String) -> Bool
}
