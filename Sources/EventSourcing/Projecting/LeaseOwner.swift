/// The process that leases are held in.
public struct LeaseProcess: Sendable {
  private let name: String
  private let isDead: @Sendable (_ process: String) -> Bool

  /// - Parameters:
  ///   - name: of this process.
  ///   - isDead: whether another one is known to be dead, so that its leases need not be waited
  ///     for. In doubt it is not.
  public init(_ name: String, isDead: @escaping @Sendable (_ process: String) -> Bool) {
    self.name = name
    self.isDead = isDead
  }

  /// Nobody can tell whether it is alive.
  public static let anonymous = LeaseProcess("anonymous") { _ in false }

  /// One of those in this process who hold leases: each has a name of its own.
  func newOwner() -> LeaseOwner {
    let own = "\(name)#\(CommandID.random().uuid.text.suffix(12))"
    let isDead = isDead
    return LeaseOwner(name: own) { owner in
      if owner == own { return true }
      guard let mark = owner.lastIndex(of: "#") else { return false }
      return isDead(String(owner[..<mark]))
    }
  }
}

/// Somebody who holds leases.
struct LeaseOwner: Sendable {
  let name: String
  /// Whether a lease may be taken before its time is over: from the dead, and from oneself.
  let mayTakeFrom: @Sendable (_ owner: String) -> Bool
}
