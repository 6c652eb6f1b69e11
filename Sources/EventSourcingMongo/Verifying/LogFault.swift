import EventSourcing

/// One thing that is wrong with the stored log, and where.
public struct LogFault: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: String, Sendable, Comparable {
    /// A document that Magasin did not write like this.
    case shape
    /// A hole in the positions, or two commits in one place.
    case order
    /// A hash that does not follow from the one before and from the commit.
    case chain
    /// A version that does not follow the one before in its stream.
    case version
    /// A command id that an earlier commit has.
    case command
    /// Not the log that the exported head was taken of.
    case head

    public static func < (left: Kind, right: Kind) -> Bool { left.rank < right.rank }

    /// Of faults at one position, what explains the others comes first.
    private var rank: Int {
      switch self {
      case .shape: 0
      case .order: 1
      case .chain: 2
      case .version: 3
      case .command: 4
      case .head: 5
      }
    }
  }

  public var position: Position
  public var kind: Kind
  public var reason: String

  init(_ kind: Kind, at position: Position, _ reason: String) {
    self.kind = kind
    self.position = position
    self.reason = reason
  }

  public var description: String { "\(kind) at position \(position): \(reason)" }
}
