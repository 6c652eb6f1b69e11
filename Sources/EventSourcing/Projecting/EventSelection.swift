/// Which events somebody wants: of which categories of streams, and there of which types.
///
/// A reader that knows it need not decode the others, which is what makes a rebuild fast.
public struct EventSelection: Sendable, Hashable {
  /// Types by category; nil stands for every type.
  public let types: [String: Set<String>?]

  /// - Parameter types: by category the types, nil for all of them.
  public init(_ types: [String: Set<String>?]) { self.types = types }

  /// Whether an event of a type in a stream of a category is wanted.
  public func takes(category: String, type: String) -> Bool {
    guard let wanted = types[category] else { return false }
    return wanted?.contains(type) ?? true
  }

  public func takes(_ event: Recorded) -> Bool {
    takes(category: event.stream.category, type: event.type)
  }

  /// `orders: OrderConfirmed, OrderInitiated`, a line a category, as a projection's README lists
  /// them.
  public var lines: [String] {
    types.sorted { $0.key < $1.key }.map { category, types in
      "\(category): \(types.map { $0.sorted().joined(separator: ", ") } ?? "all")"
    }
  }
}
